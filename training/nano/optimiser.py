"""Muon for the weight matrices, AdamW for all else, with one learning rate."""

import torch

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


def orthogonalised(matrix, steps=4):
    """Nearest matrix with all singular values near 1, by the Newton-Schulz iteration (Jordan et al. 2024)."""
    a, b, c = NEWTON_SCHULZ
    x = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        product = x @ x.T
        x = a * x + (b * product + c * product @ product) @ x
    return x.T if matrix.shape[0] > matrix.shape[1] else x


class Muon(torch.optim.Optimizer):
    """Momentum whose update is orthogonalised, scaled to the size of AdamW's (Liu et al. 2025). Kernels count as [out, in * k * k]."""

    def __init__(self, parameters, lr, momentum=0.95, weight_decay=0.1):
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                average = self.state[parameter].setdefault("average", torch.zeros_like(parameter))
                average.lerp_(parameter.grad, 1 - group["momentum"])
                nesterov = parameter.grad.lerp(average, group["momentum"])
                matrix = nesterov.reshape(len(parameter), -1)
                update = orthogonalised(matrix) * 0.2 * max(matrix.shape) ** 0.5
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.sub_(update.reshape(parameter.shape), alpha=group["lr"])


def optimisers(model, lr):
    """Muon for hidden matrices and kernels; AdamW for the stem, the heads, norms, biases and positions."""
    outer = ("stem.", "mask.", "iou.2.", "position")
    matrices, others = [], []
    for name, parameter in model.named_parameters():
        is_matrix = parameter.ndim >= 2 and not name.startswith(outer)
        (matrices if is_matrix else others).append(parameter)
    return [Muon(matrices, lr), torch.optim.AdamW(others, lr, betas=(0.9, 0.98), weight_decay=0.0)]
