"""Knowledge of no server's trouble, for tools that ask once."""

__all__ = ["AlwaysAvailable"]


class AlwaysAvailable:
    """Lets every server be asked at any time."""

    def check(self, destination: str) -> None:
        """Refuse nothing."""

    def succeeded(self, destination: str) -> None:
        """Forget it."""

    def failed(self, destination: str) -> None:
        """Forget it."""
