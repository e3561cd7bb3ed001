"""SAM 3's weights from Hugging Face's layout in those of its own files, to test that all layouts are one model.

`sam3_layouts.py OUTPUT_DIR CHECKPOINT_DIR...` joins Hugging Face checkpoints (a detector, a click head, or one file of both) and writes
`sam3.pt` and `sam3.1_multiplex.pt` into OUTPUT_DIR, with the files that lie beside the first checkpoint. Which tensor is which is in
`official_names.txt`, a list made from the official code. What pictures do not need is made up, so that readers meet it: class token,
rotations in complex numbers, clicks among exemplars, memory.
`--check` also loads `sam3.pt` into ultralytics' copy of the official detector, which must know every name, miss none, and answer
as transformers does.
"""

import argparse
import re
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file

LIST = Path(__file__).resolve().parents[2] / "crates" / "maskline-models" / "src" / "sam3" / "layout" / "official_names.txt"
PROJECTIONS = ("q_proj", "k_proj", "v_proj")
BESIDE = ("*.json", "*.txt")
LAST_LEVEL = re.compile(r"\.(convs|sam2_convs|interactive_convs)\.3\.")


def canonical(name, names):
    """A tensor's name in Hugging Face's single file; `names` are those of its own file."""
    name = re.sub(r"^tracker_model\.(?=(detector_model|tracker_model|tracker_neck)\.)", "", name)
    if name.startswith(("detector_model.", "tracker_model.", "tracker_neck.")):
        return name
    if "mask_decoder.mask_tokens.weight" not in names:
        return f"detector_model.{name}"
    if name.startswith("vision_encoder.neck."):
        return name.replace("vision_encoder.neck.", "tracker_neck.")
    return f"detector_model.{name}" if name.startswith("vision_encoder.") else f"tracker_model.{name}"


def joined(folders):
    """All tensors of these checkpoints, by canonical name."""
    tensors = {}
    for folder in folders:
        parts = {}
        for file in sorted(Path(folder).glob("*.safetensors")):
            parts |= load_file(file)
        tensors |= {canonical(name, parts): tensor.float() for name, tensor in parts.items()}
    return tensors


def lines():
    """Form, official name and canonical name of each line of the list."""
    for line in LIST.read_text().splitlines():
        if line and not line.startswith("#"):
            _, form, official, here = line.split()
            yield form, official, here


def official_of(tensors, form, official, here):
    """The official tensors of one module, or none if the checkpoint has no such module."""
    kinds = {"w": ["weight"], "wb": ["weight", "bias"]}
    if form in kinds:
        names = {f"{official}.{kind}": f"{here}.{kind}" for kind in kinds[form]}
        return {name: tensors[other] for name, other in names.items()} if all(n in tensors for n in names.values()) else {}
    if form == "qkvo":
        layers = [*((name, name) for name in PROJECTIONS), ("out_proj", "o_proj")]
        parts = [official_of(tensors, "wb", f"{official}.{name}", f"{here}.{other}") for name, other in layers]
        return {name: tensor for part in parts for name, tensor in part.items()}
    if form == "rows":
        table = tensors.get(f"{here}.weight", [])
        return {f"{official.replace('#', str(row))}.weight": table[row : row + 1].clone() for row in range(len(table))}
    if form in ("t", "T", "class"):
        if here not in tensors:
            return {}
        tensor = tensors[here]
        if form == "class":
            tensor = torch.cat([torch.full_like(tensor[:, :1], 7.0), tensor], dim=1)
        return {official: tensor.T.contiguous() if form == "T" else tensor}
    if f"{here}.q_proj.weight" not in tensors:
        return {}
    infix = "." if form == "qkv" else ".in_proj_"
    fused = {f"{official}{infix}{kind}": torch.cat([tensors[f"{here}.{name}.{kind}"] for name in PROJECTIONS]) for kind in kinds["wb"]}
    last = official_of(tensors, "wb", f"{official}.out_proj", f"{here}.{form[4:]}") if form.startswith("mha:") else {}
    return fused | last


def multiplex(tensors):
    """What `sam3.1_multiplex.pt` holds, but for its memory; with a fourth level of the pyramids where the checkpoint has one."""
    state = {}
    for form, official, here in lines():
        if form == "rows" or "#" not in official:
            state |= official_of(tensors, form, official, here)
            continue
        for index in range(1000):
            found = official_of(tensors, form, official.replace("#", str(index)), here.replace("#", str(index)))
            if not found:
                break
            state |= found
    return state


def with_extras(state, generator):
    """With what both files hold besides."""

    def made(*shape):
        return torch.randn(shape, generator=generator)

    extras = {}
    query = state.get("detector.transformer.decoder.query_embed.weight")
    if query is not None:
        width = query.shape[1]
        for name, inputs in (("direct", 2), ("pool", width), ("pos_enc", width)):
            extras[f"detector.geometry_encoder.points_{name}_project.weight"] = made(width, inputs)
            extras[f"detector.geometry_encoder.points_{name}_project.bias"] = made(width)
    for name in state:
        if name.endswith(".attn.qkv.weight"):
            extras[name.replace("qkv.weight", "freqs_cis")] = torch.polar(torch.ones(4, 2), made(4, 2))
    return state | extras


def sam3_1(state, generator):
    """As `sam3.1_multiplex.pt`: three levels, a third pyramid, the memory of sixteen objects."""
    state = {name: tensor for name, tensor in state.items() if not LAST_LEVEL.search(name)}
    pyramid = {name.replace(".convs.", ".propagation_convs."): tensor for name, tensor in state.items() if ".vision_backbone.convs." in name}
    memory = ("maskmem_tpos_enc", "no_obj_embed_spatial", "output_valid_embed", "output_invalid_embed", "no_obj_ptr_linear.weight")
    memory += ("interactive_mask_downsample.weight", "sam_mask_decoder.iou_token.weight", "obj_ptr_proj.layers.0.weight")
    memory += ("interactive_obj_ptr_proj.layers.0.weight", "image_pe_layer.positional_encoding_gaussian_matrix")
    return state | pyramid | {f"tracker.model.{name}": torch.randn((4, 4), generator=generator) for name in memory}


def sam3(state, generator):
    """As `sam3.pt`."""

    def renamed(name):
        name = re.sub(r"^tracker\.model\.(interactive|interactivity)_", "tracker.", name)
        return name.replace("interactive_convs", "sam2_convs")

    memory = ("maskmem_tpos_enc", "no_mem_pos_enc", "no_obj_ptr", "no_obj_embed_spatial", "obj_ptr_tpos_proj.weight")
    memory += ("mask_downsample.weight", "obj_ptr_proj.layers.0.weight", "maskmem_backbone.out_proj.weight")
    memory += ("transformer.encoder.norm.weight",)
    extras = {f"tracker.{name}": torch.randn((4, 4), generator=generator) for name in memory}
    return {renamed(name): tensor for name, tensor in state.items()} | extras


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("checkpoints", type=Path, nargs="+")
    parser.add_argument("--check", action="store_true", help="load sam3.pt into the official detector and compare its answers")
    arguments = parser.parse_args()
    generator = torch.Generator().manual_seed(3)
    state = with_extras(multiplex(joined(arguments.checkpoints)), generator)
    files = {"sam3.pt": sam3(state, generator), "sam3.1_multiplex.pt": sam3_1(state, generator)}
    for name, tensors in files.items():
        folder = arguments.output / name.removesuffix(".pt")
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(tensors, folder / name)
        for file in (file for pattern in BESIDE for file in arguments.checkpoints[0].glob(pattern)):
            if not file.name.endswith((".index.json", "case.json")):
                shutil.copy(file, folder)
        print(f"{folder / name}: {len(tensors)} tensors")
    if arguments.check:
        from sam3_official import check

        check(files["sam3.pt"], arguments.checkpoints[0])


if __name__ == "__main__":
    main()
