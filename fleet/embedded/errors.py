"""What stops `preau up` from starting."""


class StartError(RuntimeError):
    """Something of ours could not be made or started; the message says what, with its own last words."""
