"""The main job: driving data in, a trained and measured search bundle out (``python train.py --help``)."""

import sys

from multimodal_search.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
