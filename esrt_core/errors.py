"""The error tree: every error that a user's input, files or machine can cause derives from EsrtError.

EsrtError
├── OptionError    an option has an invalid value
├── MediaError     an image or video cannot be read, or a format cannot hold the result
├── TargetError    a file cannot be written: it exists, is a folder, permission denied, disk full
├── WeightsError   a weights file is missing, damaged, unknown or not for ESRT
├── DeviceError    a device does not exist or does not support what was requested
├── TrainingError  a training run cannot start or continue
├── RemoteError    a cluster or an object store cannot be reached or refuses a request
└── StopError      Ctrl-C or SIGTERM; carries the exit code

A message is one line: what is wrong, which file, what was expected, what to do next.
"""


class EsrtError(Exception):
    """Base class of every error that a user's input, files or machine can cause."""


class OptionError(EsrtError):
    """Reject the value of an option."""


class MediaError(EsrtError):
    """Reject an image or video that cannot be read, or that a format cannot hold."""


class TargetError(EsrtError):
    """Report that a file cannot be written."""


class WeightsError(EsrtError):
    """Reject a weights file or name."""


class DeviceError(EsrtError):
    """Report a device that is missing or does not support what was requested."""


class TrainingError(EsrtError):
    """Report that a training run cannot start or continue."""


class RemoteError(EsrtError):
    """Report a cluster or an object store that cannot be reached or refuses a request."""


class StopError(EsrtError):
    """Report that the work was stopped by a signal.

    `exit_code` is 130 for Ctrl-C and 143 for SIGTERM.
    """

    def __init__(self, message: str, exit_code: int = 130) -> None:
        super().__init__(message)
        self.exit_code = exit_code
