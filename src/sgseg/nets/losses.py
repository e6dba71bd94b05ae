"""Losses of a predicted probability against a mask, each one number per image.

A loss takes two tensors (N, H, W, 1): the truth in [0, 1], which is 0/1 or the mean of several
masks of an image (soft labels), and the probability of granule in [0, 1]. It returns (N,), in
float32, at least 0, whatever the precision of its inputs. Every loss but `lovasz_hinge` is smallest
where the probability equals the truth, soft or not; on 0/1 truth each is the published one.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

Loss = Callable[[Any, Any], Any]

CLIP = 1e-7
# Keeps the gradient of a root finite where its argument is 0.
ROOT_AT_ZERO = 1e-6
BOUNDARY_WINDOW_PX = 3


def build_loss(name: str, **parameters: float) -> Loss:
    """Loss by name: a key of `LOSSES`, with the parameters of the function it names.

    Raises
    ------
    ValueError
        No loss has that name, or it has no such parameter, or not with that value.
    """
    if name not in LOSSES:
        raise ValueError(f"loss must be one of {sorted(LOSSES)}. Received: {name!r}")
    known = set(inspect.signature(LOSSES[name]).parameters)
    if unknown := parameters.keys() - known:
        raise ValueError(
            f"parameters of the loss {name!r} are {sorted(known)}. Received: {sorted(unknown)}"
        )
    return LOSSES[name](**parameters)


def bce(*, positive_weight: float = 1.0) -> Loss:
    """Binary cross-entropy: mean over the pixels of -[w t log p + (1 - t) log(1 - p)].

    Parameters
    ----------
    positive_weight
        w, above 0. At 1 soft truth t is best met by p = t, otherwise by w t / (w t + 1 - t).
    """
    _require(positive_weight > 0, "positive_weight", "above 0", positive_weight)

    def loss(truth: Any, probability: Any) -> Any:
        truth, probability = _single(truth, probability)
        each = keras.losses.binary_crossentropy(truth, probability)
        if positive_weight != 1:
            # Keras' function for this part, too: in training it knows the logits and takes those.
            missed = keras.losses.binary_crossentropy(ops.ones_like(truth), probability)
            each = each + (positive_weight - 1) * truth[..., 0] * missed
        return ops.mean(each, axis=(1, 2))

    return loss


def dice() -> Loss:
    """1 - (2 sum(min(t, p)) + s) / (sum(t) + sum(p) + s) with s = 1 px.

    Milletari, Navab & Ahmadi 2016, doi:10.1109/3DV.2016.79, with plain sums for their sums of
    squares. The constant makes the loss of an empty mask defined and gives it a gradient. On 0/1
    truth min(t, p) is the usual t p; with t p soft truth of 0.5 would best be met by p = 1 (Wang,
    Popordanoska, Bertels, Lemmens & Blaschko 2023, arXiv:2303.16296).
    """

    def loss(truth: Any, probability: Any) -> Any:
        truth, probability = _single(truth, probability)
        both = _image_sum(_overlap(truth, probability))
        either = _image_sum(truth) + _image_sum(probability)
        return 1.0 - (2.0 * both + 1.0) / (either + 1.0)

    return loss


def bce_dice(*, positive_weight: float = 1.0) -> Loss:
    """Sum of `bce` and `dice`."""
    return _sum(bce(positive_weight=positive_weight), dice())


def focal(*, gamma: float = 2.0, alpha: float = 0.25) -> Loss:
    """Cross-entropy that counts a pixel the less, the nearer its probability is to the truth.

    Mean over the pixels of a |t - p|^gamma -[t log p + (1 - t) log(1 - p)], a = alpha t +
    (1 - alpha)(1 - t): on 0/1 truth that of Lin, Goyal, Girshick, He & Dollár 2017,
    doi:10.1109/ICCV.2017.324, on soft truth that of Li et al. 2020, arXiv:2006.04388. The mean is
    over all pixels, where Lin et al. divide by the number of positive ones.

    Parameters
    ----------
    gamma
        At least 0; at 0 every pixel counts.
    alpha
        Weight of granule in (0, 1); background has 1 - alpha.
    """
    _require(gamma >= 0, "gamma", "at least 0", gamma)
    _require(0 < alpha < 1, "alpha", "in (0, 1)", alpha)

    def loss(truth: Any, probability: Any) -> Any:
        truth, probability = _single(truth, probability)
        # A power below 1 has no slope at 0, where the cross-entropy vanishes anyway.
        distance = ops.maximum(ops.abs(truth - probability), CLIP)
        weight = (alpha * truth + (1 - alpha) * (1 - truth)) * ops.power(distance, gamma)
        each = keras.losses.binary_crossentropy(truth, probability)
        return ops.mean(weight[..., 0] * each, axis=(1, 2))

    return loss


def tversky(*, alpha: float = 0.3, beta: float = 0.7) -> Loss:
    """1 - (TP + s) / (TP + alpha FP + beta FN + s) with s = 0.5 px: `dice` at 0.5, 0.5.

    Salehi, Erdogmus & Gholipour 2017, doi:10.1007/978-3-319-67389-9_44. As in `dice`, TP is the sum
    of min(t, p); FP and FN are what probability and truth have beyond it.

    Parameters
    ----------
    alpha, beta
        Weights of false positives and of false negatives, above 0: without a price of one of them
        all, or nothing, would be called granule.
    """
    _require(alpha > 0, "alpha", "above 0", alpha)
    _require(beta > 0, "beta", "above 0", beta)

    def loss(truth: Any, probability: Any) -> Any:
        truth, probability = _single(truth, probability)
        overlap = _overlap(truth, probability)
        found = _image_sum(overlap) + 0.5
        wrong = alpha * _image_sum(probability - overlap) + beta * _image_sum(truth - overlap)
        return wrong / (found + wrong)

    return loss


def focal_tversky(*, alpha: float = 0.3, beta: float = 0.7, gamma: float = 4 / 3) -> Loss:
    """`tversky` to the power of 1 / gamma.

    Abraham & Khan 2019, doi:10.1109/ISBI.2019.8759329; their alpha weighs false negatives, which
    here, as in `tversky`, is beta. A millionth is added before the root and its root subtracted
    after it, so that the gradient of a perfect image is finite.

    Parameters
    ----------
    alpha, beta
        As in `tversky`.
    gamma
        Above 0; above 1 it raises the part of images that are nearly right (they use 4/3).
    """
    _require(gamma > 0, "gamma", "above 0", gamma)
    plain = tversky(alpha=alpha, beta=beta)

    def loss(truth: Any, probability: Any) -> Any:
        root = ops.power(plain(truth, probability) + ROOT_AT_ZERO, 1 / gamma)
        return root - ROOT_AT_ZERO ** (1 / gamma)

    return loss


def lovasz_hinge() -> Loss:
    """Convex bound of 1 - IoU: the Lovász extension of the Jaccard loss of the hinge errors.

    Berman, Rannen Triki & Blaschko 2018, doi:10.1109/CVPR.2018.00464, on each image's logits, taken
    from the probability (and so without a gradient beyond 1e-7 and 1 - 1e-7). It is defined on
    sets: soft truth counts as granule from 0.5 on, the majority of the masks. It is 0 where granule
    has a probability of at least 0.73, a logit of 1, and background at most 0.27; on an empty mask
    the one most probable pixel counts.
    """

    def loss(truth: Any, probability: Any) -> Any:
        truth, probability = _single(truth, probability)
        truth = ops.cast(_pixels(truth) >= 0.5, "float32")
        inner = ops.clip(_pixels(probability), CLIP, 1 - CLIP)
        error = 1 - (2 * truth - 1) * ops.log(inner / (1 - inner))
        order = ops.argsort(-error, axis=1)
        error = ops.take_along_axis(error, order, axis=1)
        truth = ops.take_along_axis(truth, order, axis=1)
        # Jaccard loss when the k pixels with the largest errors are wrong, and what each one adds.
        granule = ops.sum(truth, axis=1, keepdims=True)
        both = granule - ops.cumsum(truth, axis=1)
        either = granule + ops.cumsum(1 - truth, axis=1)
        jaccard = 1 - both / either
        added = jaccard - ops.pad(jaccard[:, :-1], ((0, 0), (1, 0)))
        return ops.sum(ops.relu(error) * added, axis=1)

    return loss


def boundary(*, weight: float = 1.0, reach_px: int = 2) -> Loss:
    """`bce_dice` plus weight times 1 - F1 of the boundaries, which one may miss by `reach_px`.

    Bokhovkin & Burnaev 2019, doi:10.1007/978-3-030-22808-8_38. The boundary is the outermost pixel
    inside, max over 3 x 3 px of 1 - y, minus 1 - y; precision is the share of the predicted one
    within reach of the true one, recall the reverse, each with 1 px added above and below, which
    defines them on empty masks. Minima stand for the paper's products, as in `dice`: the same on
    0/1 truth, and both are 1 where soft truth is met. It needs no distance map of the truth, which
    each turn and zoom of an augmented patch would ask for anew.

    Parameters
    ----------
    weight
        At least 0.
    reach_px
        At least 0, and less than the gap between neighbouring granules.
    """
    _require(weight >= 0, "weight", "at least 0", weight)
    _require(reach_px >= 0 and reach_px == int(reach_px), "reach_px", "0, 1, 2, ...", reach_px)
    region = bce_dice()

    def share(overlap: Any, whole: Any) -> Any:
        return (_image_sum(overlap) + 1.0) / (_image_sum(whole) + 1.0)

    def loss(truth: Any, probability: Any) -> Any:
        truth, probability = _single(truth, probability)
        (true, near_true), (found, near_found) = (
            (edge, _widest(edge, 2 * int(reach_px) + 1))
            for edge in (_boundary(truth), _boundary(probability))
        )
        precision = share(_overlap(near_true, found), found)
        recall = share(_overlap(true, near_found), true)
        f1 = 2 * precision * recall / (precision + recall)
        return region(truth, probability) + weight * (1 - f1)

    return loss


LOSSES: dict[str, Callable[..., Loss]] = {
    "bce": bce,
    "dice": dice,
    "bce_dice": bce_dice,
    "focal": focal,
    "tversky": tversky,
    "focal_tversky": focal_tversky,
    "lovasz_hinge": lovasz_hinge,
    "boundary": boundary,
}


def _require(condition: bool, name: str, expected: str, value: float) -> None:
    if not condition:
        raise ValueError(f"{name} must be {expected}. Received: {value!r}")


def _single(truth: Any, probability: Any) -> tuple[Any, Any]:
    return ops.cast(truth, "float32"), ops.cast(probability, "float32")


def _sum(first: Loss, second: Loss) -> Loss:
    def loss(truth: Any, probability: Any) -> Any:
        return first(truth, probability) + second(truth, probability)

    return loss


def _image_sum(values: Any) -> Any:
    return ops.sum(values, axis=(1, 2, 3))


def _pixels(values: Any) -> Any:
    """(N, H, W, 1) as (N, H W)."""
    shape = ops.shape(values)
    return ops.reshape(values, (shape[0], -1))


def _overlap(truth: Any, probability: Any) -> Any:
    # The truth first: where both are equal TensorFlow gives the gradient to the first, and more
    # probability on background must not look like a gain.
    return ops.minimum(truth, probability)


def _widest(values: Any, window_px: int) -> Any:
    """Maximum over a square around each pixel; beyond the edge of the image there is nothing."""
    # First along rows, then along columns: the gradient of 5 x 5 px at once takes twice as long.
    along_row = ops.max_pool(values, (1, window_px), strides=1, padding="same")
    return ops.max_pool(along_row, (window_px, 1), strides=1, padding="same")


def _boundary(mask: Any) -> Any:
    outside = 1 - mask
    return _widest(outside, BOUNDARY_WINDOW_PX) - outside
