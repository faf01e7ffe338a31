"""`python -m preface_hf` equals `preface-hf`."""

from preface_hf.cli import main


if __name__ == "__main__":
    main()
