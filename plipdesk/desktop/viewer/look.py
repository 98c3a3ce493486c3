"""How a slide's pixels are shown: brightness, contrast, gamma and its ICC profile. For the eye only; no Qt."""

from __future__ import annotations

from dataclasses import dataclass

GAMMAS = (0.3, 3.0)


@dataclass(frozen=True)
class Look:
    """``brightness`` and ``contrast`` from −100 to 100, ``gamma`` above 1 lightens; ``icc``: apply the profile."""

    brightness: int = 0
    contrast: int = 0
    gamma: float = 1.0
    icc: bool = True

    @property
    def neutral(self) -> bool:
        """Whether pixels are shown as they come."""
        return (self.brightness, self.contrast, self.gamma) == (0, 0, 1.0)

    def table(self) -> bytes:
        """What each of the 256 values of a channel becomes."""
        gamma = min(max(self.gamma, GAMMAS[0]), GAMMAS[1])
        # From flat grey at −100 over 1 at 0 to a tenfold slope at 100.
        slope = 1 + self.contrast / 100 if self.contrast <= 0 else 1 + 9 * (self.contrast / 100) ** 2
        values = (((number / 255) ** (1 / gamma) - 0.5) * slope + 0.5 + self.brightness / 200 for number in range(256))
        return bytes(round(min(max(value, 0.0), 1.0) * 255) for value in values)

    def applied(self, rgb: bytes) -> bytes:
        """Pixels through :meth:`table`."""
        return rgb.translate(self.table())
