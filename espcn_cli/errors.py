"""The one exception that means: the user can mend this."""


class EspcnError(Exception):
    """Something about the input, the files or the request is wrong, and the user can put it right.

    The message is one line: what is wrong, with which file, and what to do. The command line prints it to stderr
    and exits with code 1 (`UsageError`: 2). A broken contract between functions is a ValueError instead.
    """

    exit_code = 1


class UsageError(EspcnError):
    """The command itself asks for something impossible; nothing was started."""

    exit_code = 2
