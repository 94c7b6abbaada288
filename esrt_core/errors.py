"""The one error tree: whatever a user can cause derives from EsrtError.

EsrtError
├── OptionError    a value given by the user cannot be used
├── MediaError     a picture or clip cannot be read, or a format cannot hold the result
├── TargetError    a file cannot be written: it exists, no permission, disk full, a folder
├── WeightsError   a weights file is missing, damaged, unknown or not ESRT
├── DeviceError    a device does not exist, or cannot do what was asked
├── TrainingError  a training run cannot start or go on
├── RemoteError    a cluster or an object store cannot be reached, or says no
└── StopError      Ctrl-C or SIGTERM; carries the exit code

A message is one line: what is wrong, which file, what was expected, what to do next.
"""


class EsrtError(Exception):
    """Base of every error that a user's input, files or machine can cause."""


class OptionError(EsrtError):
    """Reject a value given by the user."""


class MediaError(EsrtError):
    """Reject a picture or clip that cannot be read or represented."""


class TargetError(EsrtError):
    """Report that a result cannot be written."""


class WeightsError(EsrtError):
    """Reject a weights file or name."""


class DeviceError(EsrtError):
    """Report a device that is missing or cannot do what was asked."""


class TrainingError(EsrtError):
    """Report that a training run cannot start or go on."""


class RemoteError(EsrtError):
    """Report a cluster or an object store that cannot be reached, or says no."""


class StopError(EsrtError):
    """Report that the work was stopped by a signal.

    `exit_code` is 130 for Ctrl-C and 143 for SIGTERM.
    """

    def __init__(self, message: str, exit_code: int = 130) -> None:
        super().__init__(message)
        self.exit_code = exit_code
