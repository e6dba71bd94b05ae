"""Optimizers, learning-rate schedules and averages of weights by name; all come from Keras."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

# Schedules and their own parameters.
SCHEDULES: dict[str, set[str]] = {
    "constant": set(),
    "cosine": {"warmup"},
    "one_cycle": set(),
    "plateau": {"factor", "patience"},
}
OPTIMIZERS: dict[str, Any] = {
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "nadam": keras.optimizers.Nadam,
    "sgd": keras.optimizers.SGD,
    "rmsprop": keras.optimizers.RMSprop,
    "lion": keras.optimizers.Lion,
}
WITH_MOMENTUM = ("sgd", "rmsprop")

# Keras searches for this in names like `unet/down0_conv_a/bias:0`: a plain "beta" would also find a
# layer called so.
NOT_DECAYED = r"(^|/)(bias|gamma|beta)(:\d+)?$"


def build_schedule(name: str, *, peak: float, steps: int, **parameters: float) -> Any:
    """Learning rate as a function of the step, or a number where it does not depend on the step.

    Parameters
    ----------
    name
        "constant": `peak`; "cosine": from `peak` to 0 (Loshchilov & Hutter 2017, arXiv:1608.03983);
        "one_cycle": from `peak` / 25 to `peak` over a quarter of the steps, then down to
        `peak` / 1000 (Smith & Topin 2019, doi:10.1117/12.2520589); "plateau": `peak`, which the
        training lowers before each epoch, see `plateau_rate`.
    peak
        Largest learning rate, above 0.
    steps
        Number of steps of the whole training.
    **parameters
        Of "cosine": `warmup`, share of the steps in [0, 1) on which the rate first rises in equal
        parts from 0, without being 0 (0 where absent). Of "plateau": `factor` and `patience`.

    Raises
    ------
    ValueError
        No schedule has that name, or it has no such parameter, or not with that value.
    """
    _check_names("schedule", name, parameters, SCHEDULES)
    if name == "constant":
        return peak
    if name == "plateau":
        if missing := SCHEDULES[name] - parameters.keys():
            raise ValueError(f"schedule 'plateau' needs {sorted(missing)}")
        # The rate of the first epoch is the peak; this refuses what later ones could not use.
        return plateau_rate(peak, parameters["factor"], int(parameters["patience"]), losses=())
    if name == "cosine":
        return _cosine(peak, steps, **parameters)
    up = max(1, steps // 4)
    return keras.optimizers.schedules.CosineDecay(
        peak / 25, max(1, steps - up), alpha=1e-3, warmup_target=peak, warmup_steps=up
    )


def _cosine(peak: float, steps: int, warmup: float = 0.0) -> Any:
    _require(0 <= warmup < 1, "warmup", "in [0, 1)", warmup)
    up = round(warmup * steps)
    if not up:
        return keras.optimizers.schedules.CosineDecay(peak, steps)
    # At step k on the way up: peak (k + 1) / (up + 1).
    return keras.optimizers.schedules.CosineDecay(
        peak / (up + 1), max(1, steps - up), warmup_target=peak, warmup_steps=up
    )


def plateau_rate(peak: float, factor: float, patience: int, losses: Sequence[float]) -> float:
    """Learning rate of the next epoch: lowered whenever the validation loss ceased to fall.

    A function of the losses alone, so that a resumed training has the rates of an unbroken one.

    Parameters
    ----------
    peak
        Learning rate of the first epoch.
    factor
        The rate is multiplied by this, in (0, 1), ...
    patience
        ... after so many epochs, at least 1, without a new lowest loss since the last one or since
        the rate was last lowered.
    losses
        Validation loss of every epoch so far; a NaN is no new lowest.
    """
    _require(0 < factor < 1, "factor", "in (0, 1)", factor)
    _require(patience >= 1, "patience", "at least 1", patience)
    lowest, waited, lowered = float("inf"), 0, 0
    for loss in losses:
        if loss < lowest:
            lowest, waited = loss, 0
            continue
        waited += 1
        if waited >= patience:
            lowered, waited = lowered + 1, 0
    return float(peak * factor**lowered)


def build_optimizer(
    name: str, *, learning_rate: Any, weights_average: float = 0.0, **parameters: float
) -> keras.optimizers.Optimizer:
    """Optimizer that clips each gradient's norm at 1, so that no odd patch throws training off.

    Parameters
    ----------
    name
        A key of `OPTIMIZERS`: "adam" (Kingma & Ba 2015, arXiv:1412.6980), "adamw", "nadam" (Dozat
        2016), "sgd" with Nesterov momentum, "rmsprop", "lion" (Chen et al. 2023, arXiv:2302.06675;
        it moves every weight by the whole rate, so it wants about a tenth of Adam's).
    learning_rate
        A number or a schedule of `build_schedule`.
    weights_average
        In [0, 1). Above 0 a running average of the weights is kept beside them, a share of
        1 - `weights_average` of it new at each step; see `averaged_weights`. 0 keeps none.
    **parameters
        `weight_decay` (0 where absent): share of each weight taken off per step, times the
        learning rate, apart from the gradient (Loshchilov & Hutter 2019, arXiv:1711.05101) - so
        "adam" with weight decay is "adamw". Biases and the scales and offsets of normalisation are
        left alone. Of "sgd" and "rmsprop" also `momentum`, in [0, 1) (0 where absent).

    Raises
    ------
    ValueError
        No optimizer has that name, or it has no such parameter, or not with that value.
    """
    options = {
        key: {"weight_decay"} | ({"momentum"} if key in WITH_MOMENTUM else set())
        for key in OPTIMIZERS
    }
    _check_names("optimizer", name, parameters, options)
    weight_decay = float(parameters.get("weight_decay", 0.0))
    momentum = float(parameters.get("momentum", 0.0))
    _require(weight_decay >= 0, "weight_decay", "at least 0", weight_decay)
    _require(0 <= momentum < 1, "momentum", "in [0, 1)", momentum)
    _require(0 <= weights_average < 1, "weights_average", "in [0, 1)", weights_average)

    of_keras: dict[str, Any] = {"clipnorm": 1.0}
    if weight_decay or name == "adamw":
        of_keras["weight_decay"] = weight_decay
    if name in WITH_MOMENTUM:
        of_keras["momentum"] = momentum
    if name == "sgd":
        of_keras["nesterov"] = True
    kind = OPTIMIZERS[name]
    if weights_average:
        kind = type(f"Averaging{kind.__name__}", (_StartingAverage, kind), {})
        of_keras |= {"use_ema": True, "ema_momentum": weights_average}
    rate = learning_rate if callable(learning_rate) else float(learning_rate)
    optimizer = kind(rate, **of_keras)
    optimizer.exclude_from_weight_decay(var_names=[NOT_DECAYED])
    return optimizer


class _StartingAverage:
    """Makes the running average of a Keras optimizer forget the start of a training.

    Keras' average begins at the weights after the first step, which are all but random, and keeps
    them with a share of momentum^steps: 70 % after 350 steps at 0.999, 3 % at 0.99. Here step k,
    from 0, has a momentum of at most (1 + k) / (10 + k), so the average always reaches back over
    about a ninth of the training, until that is more than 1 / (1 - momentum) steps. Without the
    bound, every momentum that spans more than a few epochs would be useless on few images.
    """

    iterations: Any

    @property
    def ema_momentum(self) -> Any:
        """Momentum of the step under way; Keras reads it at each."""
        step = ops.cast(self.iterations, "float32")
        return ops.minimum(self._ema_momentum, (1 + step) / (10 + step))

    @ema_momentum.setter
    def ema_momentum(self, momentum: float) -> None:
        self._ema_momentum = momentum

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = super().get_config()  # type: ignore[misc]
        return config | {"ema_momentum": self._ema_momentum}


def averaged_weights(optimizer: keras.optimizers.Optimizer, model: keras.Model) -> list[Any]:
    """Running average of each of `model.trainable_variables`, as tensors in their order.

    The averages are variables of the optimizer and are saved and restored with it. Before the first
    step, and of an optimizer that keeps no average, these are the weights themselves. What is not
    trained has no average: the statistics of batch normalisation stay those of the weights as they
    were trained.

    Parameters
    ----------
    optimizer
        Of `build_optimizer`, within `with_scaled_loss` or not, built on
        `model.trainable_variables`.
    """
    # One that scales the loss keeps no average itself.
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    weights = model.trainable_variables
    if not optimizer.use_ema or not int(ops.convert_to_numpy(optimizer.iterations)):
        return [ops.convert_to_tensor(weight) for weight in weights]
    averages = [keras.Variable(ops.convert_to_tensor(w), trainable=False) for w in weights]
    # The one public way to the averages: Keras writes them into the variables that it is given.
    optimizer.finalize_variable_values(averages)
    return [ops.convert_to_tensor(average) for average in averages]


def _check_names(
    kind: str, name: str, parameters: dict[str, float], known: dict[str, set[str]]
) -> None:
    if name not in known:
        raise ValueError(f"{kind} must be one of {sorted(known)}. Received: {name!r}")
    if unknown := parameters.keys() - known[name]:
        raise ValueError(
            f"parameters of the {kind} {name!r} are {sorted(known[name])}. "
            f"Received: {sorted(unknown)}"
        )


def _require(condition: bool, name: str, expected: str, value: float) -> None:
    if not condition:
        raise ValueError(f"{name} must be {expected}. Received: {value!r}")
