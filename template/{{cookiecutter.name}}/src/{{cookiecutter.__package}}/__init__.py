"""The {{ cookiecutter.name }} module for doze."""
