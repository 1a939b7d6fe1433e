"""The program that doze starts: it serves the driver, or with `__serve` it is the engine."""

from doze_sdk.plugin import serve


def main() -> None:
    """Serve until the host hangs up."""
    serve(
        "{{ cookiecutter.__package }}.driver:Driver",
        modes={
            "__serve": "{{ cookiecutter.__package }}.server:main",
        },
    )


if __name__ == "__main__":
    main()
