"""Random weights in the shapes and under the names of marlin-pytorch's full model and its critic."""

import torch

from preface_hf.modeling.modeling_preface import sinusoid_positions


def full_marlin(width=64, decoder=64):
    """Weights as marlin-pytorch's full model with its critic has them: two layers, and one of the decoder."""
    generator = torch.Generator().manual_seed(0)

    def block(prefix, size):
        shapes = {
            "norm1.weight": (size,), "norm1.bias": (size,), "norm2.weight": (size,), "norm2.bias": (size,),
            "attn.q_bias": (size,), "attn.v_bias": (size,), "attn.qkv.weight": (3 * size, size),
            "attn.proj.weight": (size, size), "attn.proj.bias": (size,),
            "mlp.layers.0.linear.weight": (4 * size, size), "mlp.layers.0.linear.bias": (4 * size,),
            "mlp.layers.1.linear.weight": (size, 4 * size), "mlp.layers.1.linear.bias": (size,),
        }  # fmt: skip
        return {f"{prefix}.{name}": shape for name, shape in shapes.items()}

    shapes = {
        "encoder.patch_embedding.projection.weight": (width, 3, 2, 16, 16),
        "encoder.patch_embedding.projection.bias": (width,), "encoder.norm.weight": (width,),
        "encoder.norm.bias": (width,), "enc_dec_proj.weight": (decoder, width), "decoder.mask_token": (1, 1, decoder),
        "decoder.norm.weight": (decoder,), "decoder.norm.bias": (decoder,), "decoder.head.weight": (1536, decoder),
        "decoder.head.bias": (1536,), "discriminator.layers.0.linear.weight": (4 * decoder, 1536),
        "discriminator.layers.0.linear.bias": (4 * decoder,), "discriminator.layers.1.linear.weight": (1, 4 * decoder),
        "discriminator.layers.1.linear.bias": (1,), **block("encoder.blocks.0", width),
        **block("encoder.blocks.1", width), **block("decoder.blocks.0", decoder),
    }  # fmt: skip
    weights = {name: torch.randn(shape, generator=generator) * 0.05 for name, shape in shapes.items()}
    weights["encoder.pos_embedding.emb"] = sinusoid_positions(8 * 4, width)
    weights["decoder.pos_embedding.emb"] = sinusoid_positions(8 * 4, decoder)
    return weights
