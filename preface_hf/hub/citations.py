"""What a method is, and whom to cite."""

from __future__ import annotations


# Method → its name and where it is published; the first three stand in CITATION.cff, too.
CITATIONS = {
    "preface": ("PrefAce", "Hu et al., PrefAce: Face-Centric Pretraining with Self-Structure Aware Distillation, AAAI "
                "2024, doi 10.1609/aaai.v38i11.29147"),
    "pros": ("ProS", "Di et al., ProS: Facial Omni-Representation Learning via Prototype-based Self-Distillation, "
             "WACV 2024, arXiv 2311.01929"),
    "marlin": ("MARLIN", "Cai et al., MARLIN: Masked Autoencoder for facial video Representation LearnINg, CVPR 2023, "
               "arXiv 2211.06627"),
    "dino": ("DINO", "Caron et al., Emerging Properties in Self-Supervised Vision Transformers, ICCV 2021, arXiv "
             "2104.14294"),
    "videomae": ("VideoMAE", "Tong et al., VideoMAE: Masked Autoencoders are Data-Efficient Learners for "
                 "Self-Supervised Video Pre-Training, NeurIPS 2022, arXiv 2203.12602"),
}  # fmt: skip


def cited(method: str) -> str:
    """A method by name with its paper; that it is not stated where it is empty."""
    if method not in CITATIONS:
        return "The method of pretraining is not stated."
    name, paper = CITATIONS[method]
    return f"Method of pretraining: {name} (`{method}` of preface_hf). Cite: {paper}."
