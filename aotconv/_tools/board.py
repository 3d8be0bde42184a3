"""The benchmark's boards: layers of networks; and what else people convolve, by filters of
`aotconv.ndimage`, other operators, ranks and shapes.
"""

from .problem import parse, parse_layer

TEXTS = {
    "seed_4x4x3x4": "32x28x28x3 4x4x3x4",
    "r50_conv1_7x7s2": "1x224x224x3 7x7x3x64 s2 p3",
    "r50_2_3x3_64": "1x56x56x64 3x3x64x64 p1",
    "r50_2_1x1_64_256": "1x56x56x64 1x1x64x256",
    "r50_3_3x3_128": "1x28x28x128 3x3x128x128 p1",
    "r50_3_1x1s2_256_512": "1x56x56x256 1x1x256x512 s2",
    "r50_4_3x3_256": "1x14x14x256 3x3x256x256 p1",
    "r50_5_3x3_512": "1x7x7x512 3x3x512x512 p1",
    "r50_5_1x1_2048_512": "1x7x7x2048 1x1x2048x512",
    "vgg_1_3x3_3_64": "1x224x224x3 3x3x3x64 p1",
    "vgg_1_3x3_64_64": "1x224x224x64 3x3x64x64 p1",
    "vgg_3_3x3_256": "1x56x56x256 3x3x256x256 p1",
    "mb_dw3_32_112": "1x112x112x32 3x3x1x32 p1 g32",
    "mb_dw3s2_96_112": "1x112x112x96 3x3x1x96 s2 p1 g96",
    "mb_dw5_240_28": "1x28x28x240 5x5x1x240 p2 g240",
    "mb_1x1_32_16": "1x112x112x32 1x1x32x16",
    "mb_1x1_960_160": "1x7x7x960 1x1x960x160",
    "img_1ch_5x5_1024": "1x1024x1024x1 5x5x1x1 p2",
    "img_rgb_dw7x7_1080p": "1x1080x1920x3 7x7x1x3 p3 g3 shared",
    "tiny_8x8x1": "1x8x8x1 3x3x1x1",
}
WIDE_TEXTS = {
    "correlate_3x3": "1000x1100 correlate 3x3",
    "correlate_9x9": "1000x1100 correlate 9x9",
    "correlate_5x5_bytes": "1000x1100 correlate 5x5 uint8>int16",
    "gaussian_0.8": "1000x1100 gaussian_filter sigma0.8",
    "gaussian_2.5": "1000x1100 gaussian_filter sigma2.5",
    "gaussian_9": "1000x1100 gaussian_filter sigma9",
    "gaussian_2_bytes": "1000x1100 gaussian_filter sigma2 uint8 saturate",
    "gaussian_2_rgb": "1000x1100x3 gaussian_filter sigma2 axes0x1 uint8 saturate",
    "sobel": "1000x1100 sobel",
    "uniform_15x15": "1000x1100 uniform_filter 15x15",
    "laplace": "1000x1100 laplace",
    "volume_gaussian_1.5": "60x120x130 gaussian_filter sigma1.5",
    "volume_correlate_5x5x5": "60x120x130 correlate 5x5x5",
    "signal_48": "1000000 correlate1d 48",
    "correlate_31x31": "1000x1100 correlate 31x31 fastest",
    "correlate_95x95": "1000x1100 correlate 95x95 fastest",
    "signal_3001": "1000000 correlate1d 3001 fastest",
    "gray_3x3_1_2": "1x1000x1100x1 3x3x1x2 same",
    "gray_15x15_1_16": "1x1000x1100x1 15x15x1x16 same",
    "line_9_48_80": "4x12000x48 9x48x80",
    "line_2d256_64": "1x16256x64 2x64x64 d256",
    "volume_3x3x3_16": "1x14x32x34x16 3x3x3x16x16",
    "volume_5x5x5_1_8": "1x40x60x60x1 5x5x5x1x8",
    "up_4x4s2_40_32": "1x40x40x40 4x4x32x40 s2 transposed",
    "up_2x2s2_128_64": "1x28x28x128 2x2x64x128 s2 transposed",
    "up_3x3s2_64_32": "1x56x56x64 3x3x32x64 s2 transposed",
    "images_gradient_3x3s2": "4x28x28x96 3x3x96x64 s2 p1 images_gradient",
    "filters_gradient_3x3s2": "4x28x28x96 3x3x96x64 s2 p1 filters_gradient",
    "max_pool_3x3s2_64": "1x80x82x64 3x3 s2 max_pool",
    "average_pool_3x3s2_64": "1x80x82x64 3x3 s2 average_pool",
    "bytes_3x3_40_48": "1x30x31x40 3x3x40x48 uint8*int8>int32",
    "halves_3x3_64": "1x56x56x64 3x3x64x64 p1 float16",
    "dw3s2_96_112_first": "1x112x112x96 3x3x1x96 s2 p1 g96 NCHW",
    "dw21_64_40": "1x40x40x64 21x21x1x64 same g64",
    "dw31_96_28": "1x28x28x96 31x31x1x96 same g96",
}
BOARD = tuple(parse_layer(text)._replace(name=name) for name, text in TEXTS.items())
WIDE = tuple(parse(text)._replace(name=name) for name, text in WIDE_TEXTS.items())
BOARDS = {"networks": BOARD, "wide": WIDE}
