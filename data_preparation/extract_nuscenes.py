#!/usr/bin/env python
"""A nuScenes release -> scenes, pictures and signals: the same as ``multimodal-search extract``.

python data_preparation/extract_nuscenes.py --dataroot DIR --num-scenes 50 --diverse
"""

import sys

from multimodal_search.cli import main

if __name__ == "__main__":
    sys.exit(main(["extract", *sys.argv[1:]]))
