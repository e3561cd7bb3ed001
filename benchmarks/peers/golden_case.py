"""What the golden cases of transformers' models have in common: how tensors are stored, described and compared."""

from safetensors.torch import save_file


def difference(a, b):
    """Largest absolute difference; equal elements differ by 0, infinite or not."""
    if a.shape != b.shape:
        return float("inf")
    a, b = a.double(), b.double()
    return (a - b).abs().where(a != b, 0.0).max().item()


def differences(a, b):
    """Largest absolute difference of each tensor; both must hold the same ones."""
    if a.keys() != b.keys():
        raise SystemExit(f"tensors of one side only: {sorted(a.keys() ^ b.keys())}")
    return {key: difference(a[key], b[key]) for key in a}


def largest(values):
    name = max(values, key=values.get)
    return {"value": values[name], "tensor": name}


def tolerance(noise):
    """Ten times the rounding noise, at least 2e-5, to two digits."""
    return float(f"{max(10 * noise, 2e-5):.1e}")


def described(tensors, meaning):
    """Shape, type, range and meaning of each tensor; `meaning` is asked for a tensor's name."""
    result = {}
    for name, tensor in tensors.items():
        entry = {"shape": list(tensor.shape), "dtype": str(tensor.dtype).removeprefix("torch.")}
        if tensor.is_floating_point():
            x = tensor.float()
            entry |= {"min": x.min().item(), "max": x.max().item(), "std": x.std(correction=0).item()}
        result[name] = entry | {"meaning": meaning(name)}
    return result


def save_tensors(tensors, file, half=()):
    """float32 and integer tensors; those whose name ends in one of `half` as float16, which must not change them."""
    stored = {key: (x.half() if key.endswith(half) else x).contiguous() for key, x in tensors.items()}
    if any(difference(stored[key], tensors[key]) for key in stored):
        raise SystemExit(f"{file}: not exact in float16")
    save_file(stored, file)
    return stored
