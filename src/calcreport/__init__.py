"""calcreport: soft-tissue calcification on CT and radiographs, measured and drafted as a report section."""

from typing import Final

__version__: Final = "0.1.0"
"""Version of the software; printed in every report."""
