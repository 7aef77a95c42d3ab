"""What OpenAPI says of headers that are read by hand, because tus has its own answers to bad ones."""

from typing import Any

from service.uploads.headers import ALGORITHMS, BODY_TYPE, VERSION

Documents = dict[int | str, dict[str, Any]]


def _header(name: str, description: str, *, required: bool = True, **schema: Any) -> dict[str, Any]:
    return {
        "name": name,
        "in": "header",
        "required": required,
        "description": description,
        "schema": {"type": "string"} | schema,
    }


def _told(**headers: str) -> dict[str, Any]:
    return {
        name.replace("_", "-"): {"description": text, "schema": {"type": "string"}} for name, text in headers.items()
    }


_BYTES: dict[str, Any] = {"type": "integer", "minimum": 0, "maximum": 10**15}
_RESUMABLE = _header("Tus-Resumable", "The version of tus.", enum=[VERSION])
_LENGTH = _header("Upload-Length", "Bytes of the whole file.", **_BYTES)
_OFFSET = _header("Upload-Offset", "Where the body begins: as many bytes as the upload has.", **_BYTES)
_METADATA = _header(
    "Upload-Metadata",
    "`key base64` pairs with commas between; values are UTF-8. `filename` is shown with the slide.",
    required=False,
    examples=["filename Q01VLTEuc3Zz"],
)
_CHECKSUM = _header(
    "Upload-Checksum",
    f"`algorithm base64` of this body; one of {', '.join(ALGORITHMS)}.",
    required=False,
    pattern=rf"^({'|'.join(ALGORITHMS)}) [A-Za-z0-9+/]+={{0,2}}$",
)
_BODY = {"content": {BODY_TYPE: {"schema": {"type": "string", "format": "binary"}}}}
_PROGRESS = _told(Upload_Offset="Bytes that are on the disk.", Upload_Expires="When it is dropped unless more comes.")

BEGIN: dict[str, Any] = {
    "parameters": [_RESUMABLE, _LENGTH, _METADATA, _CHECKSUM],
    "requestBody": _BODY | {"required": False},
}
ASK: dict[str, Any] = {"parameters": [_RESUMABLE]}
SEND: dict[str, Any] = {"parameters": [_RESUMABLE, _OFFSET, _CHECKSUM], "requestBody": _BODY | {"required": True}}

ABILITIES: Documents = {
    204: {"description": "What is spoken", "headers": _told(Tus_Version="", Tus_Extension="", Tus_Max_Size="")}
}
BEGUN: Documents = {201: {"headers": _PROGRESS | _told(Location="The upload's address.")}}
OFFSET_TOLD: Documents = {
    200: {"description": "How far it is", "headers": _PROGRESS | _told(Upload_Length="Bytes of the whole file.")}
}
TAKEN: Documents = {204: {"description": "Taken", "headers": _PROGRESS}}
CONTENT: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
