"""Writes golden.json: what PIL makes of small images. Run: python core/image/tests/golden/make.py (needs Pillow and numpy)."""

import base64
import io
import json
import pathlib

import numpy as np
import PIL
from PIL import Image


def picture(width, height):
    """The same formula as in tests/pil.rs."""
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(3), indexing="ij")
    return (((x * 37 + y * 59 + c * 101) ^ (x * y * 3)) % 256).astype(np.uint8)


def smooth(width, height):
    y, x = np.meshgrid(np.arange(height) / height, np.arange(width) / width, indexing="ij")
    planes = [np.sin(3 * x + 1) * 0.4 + y * 0.5, np.cos(2 * y) * 0.6 + x * 0.3, x * y + 0.1]
    return (np.clip(np.stack(planes, -1), 0, 1) * 255).astype(np.uint8)


def flat(image):
    return base64.b64encode(np.asarray(image.convert("RGB")).tobytes()).decode()


resized = []
for (w, h), (tw, th) in [((13, 9), (7, 5)), ((7, 5), (20, 17)), ((64, 40), (9, 11)), ((31, 33), (32, 32)), ((90, 3), (8, 6))]:
    for name, kind in [("bilinear", Image.BILINEAR), ("bicubic", Image.BICUBIC)]:
        out = Image.fromarray(picture(w, h)).resize((tw, th), kind)
        resized.append({"from": [w, h], "to": [tw, th], "filter": name, "rgb": flat(out)})

files = []


def keep(name, image, tolerance, frames=None, decoded=None, **options):
    out = io.BytesIO()
    if frames:
        image.save(out, save_all=True, append_images=frames, **options)
    else:
        image.save(out, **options)
    data = out.getvalue()
    seen = decoded if decoded is not None else Image.open(io.BytesIO(data))
    files.append({"name": name, "file": base64.b64encode(data).decode(), "size": list(seen.size), "tolerance": tolerance, "rgb": flat(seen)})


w, h = 24, 17
rgb = Image.fromarray(smooth(w, h))
grey = rgb.convert("L")
keep("jpeg", rgb, 4, format="JPEG", quality=92, subsampling=0)
keep("jpeg with reduced colours", rgb, 12, format="JPEG", quality=92, subsampling=2)
keep("jpeg, progressive", rgb, 4, format="JPEG", quality=92, subsampling=0, progressive=True)
keep("jpeg, grey", grey, 2, format="JPEG", quality=92)
keep("jpeg, cmyk", rgb.convert("CMYK"), 6, format="JPEG", quality=95)
keep("png", rgb, 0, format="PNG")
keep("png, grey", grey, 0, format="PNG")
keep("png, palette", rgb.quantize(16), 0, format="PNG")
keep("png, transparent", Image.fromarray(np.dstack([smooth(w, h), np.full((h, w), 99, np.uint8)])), 0, format="PNG")
keep("png, one bit", grey.convert("1"), 0, format="PNG")
# PIL reads 16-bit grey as integers and clips them at 255: what is meant is a division by 257.
wide = (np.asarray(grey).astype(np.uint16) * 257) + 3
keep("png, grey of 16 bits", Image.fromarray(wide), 0, decoded=grey, format="PNG")
keep("webp, lossless", rgb, 0, format="WEBP", lossless=True)
keep("webp", rgb, 6, format="WEBP", quality=90)
keep("bmp", rgb, 0, format="BMP")
keep("bmp, palette", rgb.quantize(16), 0, format="BMP")
keep("gif of two frames", rgb.quantize(16), 0, format="GIF", frames=[rgb.transpose(Image.FLIP_LEFT_RIGHT).quantize(16)], loop=0)
for orientation, turn in [(3, Image.ROTATE_180), (6, Image.ROTATE_270), (8, Image.ROTATE_90), (5, Image.TRANSPOSE)]:
    exif = Image.Exif()
    exif[0x112] = orientation
    out = io.BytesIO()
    rgb.save(out, format="JPEG", quality=92, subsampling=0, exif=exif)
    upright = Image.open(io.BytesIO(out.getvalue())).convert("RGB").transpose(turn)
    keep(f"jpeg, orientation {orientation}", rgb, 4, decoded=upright, format="JPEG", quality=92, subsampling=0, exif=exif)

path = pathlib.Path(__file__).with_name("golden.json")
path.write_text(json.dumps({"made_by": f"PIL {PIL.__version__}", "resized": resized, "files": files}) + "\n")
print(path.name, path.stat().st_size, "bytes")
