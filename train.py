"""The main job: driving data in, a trained and measured search bundle out (``python train.py --help``)."""

import sys

if __name__ == "__main__":
    if sys.version_info < (3, 11):  # noqa: UP036  said before an import fails, for example in an older image
        sys.exit(
            "error: This needs Python 3.11 or newer; this is {}.{}.\n"
            "  to do: take a newer one; on SageMaker framework_version='2.8.0', py_version='py312'".format(
                *sys.version_info
            )
        )
    from multimodal_search.cli import main

    sys.exit(main(["train", *sys.argv[1:]]))
