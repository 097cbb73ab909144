"""The paper's 85×8 one-hot encoder."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from matgen_core import Component, Options, hookimpl


class OneHotOptions(Options):
    """Options of the encoder `onehot`."""

    threshold: float = Field(
        0.2, gt=0, description="A decoded cell is on when its value is at least this."
    )


@hookimpl
def matgen_encoders() -> Iterable[Component]:
    yield Component(
        "onehot",
        "matgen_onehot.encoder:OneHot",
        options=OneHotOptions,
        summary="85 elements by counts 1 to 8, one-hot",
        cite="doi:10.1038/s41524-020-00352-0, Supplementary Fig. 5",
    )
