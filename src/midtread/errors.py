"""Every error this package raises on purpose.

CodecError
├── UsageError             the caller asked for something impossible (also a ValueError)
│   ├── UnknownNameError   no codec, metric, dataset ... of that name
│   └── MissingError       it exists, but a package or file it needs is not installed here
├── BitstreamError         the bytes are not what they claim to be
│   └── TruncatedError     the bytes stop too early
├── LimitError             obeying would need more memory or time than allowed
├── StorageError           the disk could not take what was written
└── TrainingError          the numbers of a training ran away

`decode` never raises UsageError for bad bytes; `encode` never raises BitstreamError. Errors of other libraries are
turned into these where they enter, with `raise ... from error`.
"""


class CodecError(Exception):
    """Any error this package raises on purpose."""


class UsageError(CodecError, ValueError):
    """The caller asked for something impossible."""


class UnknownNameError(UsageError):
    """No codec, metric, dataset or option has that name."""


class MissingError(UsageError):
    """It exists, but a package or file it needs is not installed here; the message says how to get it."""


class BitstreamError(CodecError):
    """The bytes are not what they claim to be."""


class TruncatedError(BitstreamError):
    """The bytes stop too early."""


class LimitError(CodecError):
    """Obeying would need more memory or time than allowed; the message says how to allow it."""


class StorageError(CodecError):
    """The disk could not take what was written: it is full, over a quota or broken. The request itself was fine."""


class TrainingError(CodecError):
    """The numbers of a training ran away: a loss, gradient or weight is not finite. The last good checkpoint stays."""
