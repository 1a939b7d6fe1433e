from doze_sdk import engine


class Driver(engine.Driver[None]):
    type = "lacking"
