"""What commands report in one line instead of a traceback."""


class CommandError(Exception):
    """What the user can mend; ``status`` is the exit status of the command."""

    status = 2


class DisagreementError(CommandError):
    """The convolutions that were compared do not agree."""

    status = 1
