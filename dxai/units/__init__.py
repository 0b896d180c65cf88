"""Units of measure: the UCUM code that a person's text or column header means, and conversion between two codes.

UCUM (https://ucum.org/ucum) is the code system of the contracts. Conversions are worked out in exact fractions from
UCUM's own table, which ``ucumvert`` ships. pint judges them in the tests but does not make them: to pint radians,
arbitrary units and annotations are plain numbers, so ``rad/s`` to ``/min`` or ``{box}`` to ``{unit}`` would pass.
"""

from dxai.units.convert import Conversion, conversion, dimension_mates, is_same, spellings
from dxai.units.header import of_header
from dxai.units.text import require_ucum, understand
from dxai.units.ucum import is_ucum
from dxai.units.vocabulary import QUANTITIES

__all__ = [
    "QUANTITIES", "Conversion", "conversion", "dimension_mates", "is_same", "is_ucum", "of_header", "require_ucum",
    "spellings", "understand",
]  # fmt: skip
