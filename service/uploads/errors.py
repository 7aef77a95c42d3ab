"""What can be wrong with an upload."""

from models.errors import RefusedInputError


class BadRequestError(RefusedInputError):
    """A header or the body is not what the protocol asks for."""

    slug = "bad-request"
    title = "The request is not well formed"


class OffsetConflictError(RefusedInputError):
    """The bytes that were sent do not begin where the upload ends."""

    slug = "offset-conflict"
    title = "The offset is not the upload's"


class UploadTooLargeError(RefusedInputError):
    """More bytes than were announced, or than are taken at all."""

    slug = "upload-too-large"
    title = "The upload is too large"


class LengthRequiredError(RefusedInputError):
    """The request says neither how long its body is nor that it comes in chunks."""

    slug = "length-required"
    title = "The length of the body is needed"


class TusVersionError(RefusedInputError):
    """The client does not speak the version of tus that is spoken here."""

    slug = "tus-version"
    title = "tus 1.0.0 is spoken here"


class MediaTypeError(RefusedInputError):
    """The body is not declared as bytes at an offset."""

    slug = "media-type"
    title = "The body has the wrong media type"


class UploadLockedError(RefusedInputError):
    """Another request writes to the upload at this moment."""

    slug = "upload-locked"
    title = "Another request writes to the upload"


class ChecksumMismatchError(RefusedInputError):
    """The bytes that came are not those the checksum was made of."""

    slug = "checksum-mismatch"
    title = "The checksum does not match"


class ChecksumUnsupportedError(RefusedInputError):
    """The checksum is of a kind that is not computed here."""

    slug = "checksum-unsupported"
    title = "This kind of checksum is not supported"


class RequestTimeoutError(RefusedInputError):
    """The client sent nothing for a long time; what came before is kept."""

    slug = "request-timeout"
    title = "The body stopped coming"


class ReferenceNotAllowedError(RefusedInputError):
    """The place is not below one that slides may be registered from."""

    slug = "reference-not-allowed"
    title = "Slides are not registered from there"


class SlideSourceError(RefusedInputError):
    """Neither an upload nor a place was named, or both."""

    slug = "slide-source-unclear"
    title = "Name either an upload or a place"
