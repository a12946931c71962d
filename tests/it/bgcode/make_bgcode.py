"""Makes binary G-code with the reference library: one file for each compression and encoding.

Usage: make_bgcode.py INPUT.gcode OUTPUT_FOLDER

For each variant it writes NAME.bgcode, NAME.gcode (the text file that the library converts it to), NAME.blocks (the text
of its G-code blocks) and NAME.json (metadata and thumbnails). It prints one NAME per line. It needs the package
pybgcode-jneilliii 0.2.1.
"""

import json
import pathlib
import sys
import zlib

import pybgcode
from pybgcode import _bgcode

COMPRESSIONS = {
    "stored": _bgcode.CompressionType.none,
    "deflate": _bgcode.CompressionType.Deflate,
    "heatshrink-11": _bgcode.CompressionType.Heatshrink_11_4,
    "heatshrink-12": _bgcode.CompressionType.Heatshrink_12_4,
}
ENCODINGS = {
    "text": _bgcode.GCodeEncodingType.none,
    "meatpack": _bgcode.GCodeEncodingType.MeatPack,
    "meatpack-comments": _bgcode.GCodeEncodingType.MeatPackComments,
}
CHECKSUMS = {"crc32": _bgcode.ChecksumType.CRC32, "unchecked": _bgcode.ChecksumType.none}


def convert(function, source, target, *options):
    reader, writer = pybgcode.open(str(source), "rb"), pybgcode.open(str(target), "wb")
    try:
        result = function(reader, writer, *options)
    finally:
        pybgcode.close(reader)
        pybgcode.close(writer)
    if result != _bgcode.EResult.Success:
        raise SystemExit(f"{target}: {_bgcode.translate_result(result)}")


def read_facts(path):
    facts = {}
    reader = pybgcode.open(str(path), "rb")
    for block in ("file", "printer", "print", "slicer"):
        facts[block] = pybgcode.read_metadata(reader, block)
    facts["thumbnails"] = [
        {
            "format": thumbnail["meta"].format,
            "width": thumbnail["meta"].width,
            "height": thumbnail["meta"].height,
            "size": len(thumbnail["bytes"]),
            "crc32": zlib.crc32(thumbnail["bytes"]),
        }
        for thumbnail in pybgcode.read_thumbnails(reader)
    ]
    pybgcode.close(reader)
    return facts


def read_gcode_blocks(path):
    reader = pybgcode.open(str(path), "rb")
    _, header = pybgcode.get_header(reader)
    text = ""
    while reader_has_block(reader, header, block_header := pybgcode.BlockHeader()):
        block = _bgcode.GCodeBlock()
        result = block.read_data(reader, header, block_header)
        if result != _bgcode.EResult.Success:
            raise SystemExit(f"{path}: {_bgcode.translate_result(result)}")
        text += block.raw_data
    pybgcode.close(reader)
    return text


def reader_has_block(reader, header, block_header):
    result = pybgcode.read_next_block_header(reader, header, block_header, pybgcode.EBlockType.GCode)
    return result == _bgcode.EResult.Success


def main(source, folder):
    folder = pathlib.Path(folder)
    for compression_name, compression in COMPRESSIONS.items():
        for encoding_name, encoding in ENCODINGS.items():
            for checksum_name, checksum in CHECKSUMS.items():
                name = f"{compression_name}.{encoding_name}.{checksum_name}"
                config = pybgcode.get_config()
                config.checksum = checksum
                config.gcode_encoding = encoding
                for block in ("file_metadata", "printer_metadata", "print_metadata", "slicer_metadata", "gcode"):
                    setattr(config.compression, block, compression)
                binary = folder / f"{name}.bgcode"
                convert(_bgcode.from_ascii_to_binary, source, binary, config)
                convert(_bgcode.from_binary_to_ascii, binary, folder / f"{name}.gcode", True)
                (folder / f"{name}.blocks").write_text(read_gcode_blocks(binary), newline="")
                (folder / f"{name}.json").write_text(json.dumps(read_facts(binary)))
                print(name)


main(sys.argv[1], sys.argv[2])
