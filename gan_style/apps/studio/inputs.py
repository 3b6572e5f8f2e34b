"""Checks of the files that a request names as inputs of the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import gradio as gr
from gradio.utils import get_upload_folder
from gradio_client.utils import is_file_obj, traverse


def check_no_addresses(block: Any) -> None:
    """Make a block refuse web addresses in place of files, which Gradio would fetch."""
    keep = block.async_move_resource_to_block_cache

    async def keep_files(path: str | Path | None) -> str | None:
        if path is not None and urlsplit(str(path)).scheme.lower() in ("http", "https"):
            raise gr.Error("files of this machine only: nothing is fetched from an address", print_exception=False)
        kept: str | None = await keep(path)
        return kept

    block.async_move_resource_to_block_cache = keep_files


def check_own_files(block: Any) -> None:
    """Make a block refuse files that were not uploaded: Gradio only checks values that the request marks as files."""
    preprocess = getattr(block, "preprocess", None)
    if preprocess is None:
        return

    def preprocess_uploads(payload: Any) -> Any:
        uploads = Path(get_upload_folder()).resolve()

        def check(file: dict[str, Any]) -> dict[str, Any]:
            if not Path(file["path"]).resolve().is_relative_to(uploads):
                raise gr.Error("only files that were uploaded", print_exception=False)
            return file

        traverse(payload.model_dump() if hasattr(payload, "model_dump") else payload, check, is_file_obj)
        return preprocess(payload)

    block.preprocess = preprocess_uploads
