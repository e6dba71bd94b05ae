"""From marker in the sample to camera counts: blur, haze, illumination, photons, camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sgseg.dataset.simulate.grid import Array, Grid, Window, blur

NUMERICAL_APERTURE = 0.95
WAVELENGTH_UM = (0.52, 0.46)  # emission of the marker and of the nuclear dye
COUNTS_PER_ELECTRON = 36.0  # gain of the camera, multiplication included
OFFSET = 600.0  # counts without any light
READ_NOISE = 2.5  # electrons
FULL_SCALE = 65535
HOT_PIXELS = 4e-5  # share of the sensor's pixels
HAZE_UM = (1.3, 6.0)  # two standard deviations: just out of focus, and far
LARGEST_HAZE_PX = 64
DEFOCUS_UM = (0.1, 0.08)  # mean and standard deviation over fields
CHROMATIC_SHIFT_UM = (0.0, 0.1)


@dataclass(frozen=True)
class Day:
    """What one replicate has in common: stained, mounted and imaged on one day.

    Attributes
    ----------
    photons : (float, float)
        Detected at full illumination in a pixel of average cytoplasm (channel 0), of an average
        nucleus (channel 1).
    background : float
        Light from medium and glass, photons.
    haze : float
        Share of the light that comes from out-of-focus planes, 0 to 1.
    vignette : float
        Loss of illumination in the darkest corner, 0 to 1.
    centre : (float, float)
        Brightest point of the illumination, relative to the field.
    unspecific : float
        Staining of nucleoli in the marker channel, 0 to 1.
    """

    photons: tuple[float, float]
    background: float
    haze: float
    vignette: float
    centre: tuple[float, float]
    unspecific: float


def draw_day(rng: np.random.Generator, photons: float) -> Day:
    """Staining, illumination and background of one replicate."""
    return Day(
        photons=(
            photons * float(np.clip(rng.lognormal(0, 0.3), 0.55, 1.8)),
            photons * float(rng.uniform(1.0, 2.5)),
        ),
        background=photons * float(rng.uniform(0.05, 0.2)),
        haze=float(rng.uniform(0.3, 0.55)),
        vignette=float(rng.uniform(0.2, 0.45)),
        centre=(float(rng.uniform(0.3, 0.7)), float(rng.uniform(0.3, 0.7))),
        unspecific=float(rng.uniform(0, 1)),
    )


@dataclass(frozen=True)
class Microscope:
    """The optics on one day, focused on one field.

    Attributes
    ----------
    illumination : (H, W) float
        Relative, 1 where it is brightest.
    defocus_um : float
        Standard deviation of the extra blur because the focus is a little off.
    """

    grid: Grid
    day: Day
    illumination: Array
    defocus_um: float

    def sigma(self, channel: int) -> float:
        """Blur of what is in focus, px.

        The Gaussian nearest to the paraxial wide-field point-spread function has the standard
        deviation sqrt(2) / (2 pi) * wavelength / NA (doi:10.1364/AO.46.001819); defocus and
        chromatic shift add in quadrature.
        """
        diffraction = np.sqrt(2) / (2 * np.pi) * WAVELENGTH_UM[channel] / NUMERICAL_APERTURE
        um = np.linalg.norm([diffraction, self.defocus_um, CHROMATIC_SHIFT_UM[channel]])
        return self.grid.px(float(um))

    def expose(self, signal: Array, *, channel: int) -> Array:
        """Expected photo-electrons (H, W) from what is stained, before any noise."""
        near, far = (min(self.grid.px(um), LARGEST_HAZE_PX) for um in HAZE_UM)
        haze = 0.5 * (blur(signal, near) + blur(signal, far))
        light = (1 - self.day.haze) * blur(signal, self.sigma(channel)) + self.day.haze * haze
        photons = self.day.photons[channel] * light + self.day.background
        return np.asarray(self.illumination * photons)

    def in_focus(self, signal: Array, window: Window) -> Array:
        """Electrons that one object in a window of channel 0 adds there, haze left out, (h, w)."""
        light = self.illumination[window] * self.day.photons[0] * (1 - self.day.haze)
        return np.asarray(light * blur(signal, self.sigma(0), mode="nearest"))


def set_up(rng: np.random.Generator, grid: Grid, day: Day) -> Microscope:
    """Focus on one field. The illumination falls with the squared distance from its centre."""
    y = (np.arange(grid.size)[:, None] + 0.5) / grid.size - day.centre[0]
    x = (np.arange(grid.size)[None, :] + 0.5) / grid.size - day.centre[1]
    squared = y**2 + x**2
    illumination = 1 - day.vignette * squared / squared.max()
    return Microscope(grid, day, illumination, abs(rng.normal(*DEFOCUS_UM)))


def hot_pixels(rng: np.random.Generator, grid: Grid) -> Array:
    """Extra electrons (H, W) from the few leaking pixels of the sensor; the same in all images."""
    image = np.zeros(grid.shape)
    leaking = rng.uniform(size=grid.shape) < HOT_PIXELS
    image[leaking] = rng.uniform(150, 1500, int(leaking.sum()))
    return image


def read_out(rng: np.random.Generator, electrons: Array) -> NDArray[np.uint16]:
    """Camera counts (H, W) for an expected number of photo-electrons.

    Poisson shot noise, Gaussian read noise of READ_NOISE electrons, COUNTS_PER_ELECTRON and OFFSET;
    what exceeds 16 bit is cut. The variance in electrons is mean + READ_NOISE^2.
    """
    detected = rng.poisson(electrons) + rng.normal(0, READ_NOISE, electrons.shape)
    counts = np.round(OFFSET + COUNTS_PER_ELECTRON * detected)
    return np.clip(counts, 0, FULL_SCALE).astype(np.uint16)
