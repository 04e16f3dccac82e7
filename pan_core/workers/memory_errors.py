"""Errors that mean a want of memory, whichever library raised them."""

import errno

# OpenCV, C++ libraries such as ONNX Runtime, PyTorch, and CUDA.
_TEXTS = (
    "Insufficient memory", "bad_alloc", "bad allocation", "Failed to allocate", "can't allocate memory", "out of memory",
)  # fmt: skip


def lacks_memory(error: BaseException) -> bool:
    """Whether an error, or one that it was made of, is a want of memory."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError) or (isinstance(cause, OSError) and cause.errno == errno.ENOMEM):
            return True
        if any(text in str(cause) for text in _TEXTS):
            return True
        cause = cause.__cause__
    return False
