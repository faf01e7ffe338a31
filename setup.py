"""Package metadata of preface_hf. Tools are configured in pyproject.toml, tested versions are in constraints.txt."""

from pathlib import Path

from setuptools import find_packages, setup


FACES = ["opencv-python-headless>=4.10.0.84", "datatrove>=0.9"]
CLUSTER = ["ray>=2.40"]
FACE_ALIGNMENT = ["face-alignment>=1.5"]
RECIPES = ["h5py>=3.11"]  # the first for numpy 2
PEFT = ["peft>=0.18"]
CURATION = ["faiss-cpu>=1.12"]
METRICS = ["torchmetrics>=1.6", "python_speech_features>=0.6"]
TRACKERS = ["tensorboard>=2.17", "trackio>=0.10"]
EXPORT = ["onnx>=1.17", "onnxscript>=0.5", "onnxruntime>=1.19"]
DEMO = ["matplotlib>=3.9", "gradio>=6"]
DOCS = ["mkdocs-material>=9.6", "mkdocstrings-python>=2", "griffelib>=2"]
DEV = [
    "build>=1.2",
    "playwright>=1.50",
    "setuptools>=77",
    "pytest>=8",
    "pytest-xdist>=3.6",
    "ruff>=0.14",
    "mypy>=1.18",
    "types-PyYAML",
]

setup(
    name="preface-hf",
    version="0.2.0",
    description="PrefAce: self-supervised face video models for the Hugging Face ecosystem",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    # `modeling/` is what travels with a checkpoint; inside the package it is `preface_hf.modeling` (see AGENTS.md).
    packages=[*find_packages(include=["preface_hf", "preface_hf.*"]), "preface_hf.modeling"],
    package_dir={"preface_hf.modeling": "modeling"},
    package_data={
        "preface_hf": ["configs/*.yaml", "default_model/*/*", "faces/networks/*", "hub/template.md", "py.typed"]
    },
    install_requires=[
        "torch>=2.6",
        "transformers>=5.18",
        "datasets>=4",
        "accelerate>=1.10",
        "evaluate>=0.4.6",
        "huggingface-hub>=1",
        "safetensors>=0.5",
        "numpy>=1.26",
        "av>=17",
        'decord>=0.6; platform_machine == "x86_64" and sys_platform == "linux" or sys_platform == "win32"',
        "pillow>=10.1",
        "pyyaml>=6",
        "rich>=13",
        "scikit-learn>=1.5",
        "typer>=0.16",
    ],
    extras_require={
        "faces": FACES,
        "cluster": [*FACES, *CLUSTER],
        "face-alignment": FACE_ALIGNMENT,
        "recipes": RECIPES,
        "peft": PEFT,
        "curation": CURATION,
        "export": EXPORT,
        "trackers": TRACKERS,
        "metrics": METRICS,  # of frames, PSNR and SSIM; of sound, what SyncNet hears
        "demo": DEMO,
        "docs": DOCS,
        "dev": [*FACES, *CLUSTER, *RECIPES, *PEFT, *CURATION, *EXPORT, *METRICS, *DEMO, *DOCS, *DEV],
    },
    entry_points={"console_scripts": ["preface-hf=preface_hf.cli:main"]},
)
