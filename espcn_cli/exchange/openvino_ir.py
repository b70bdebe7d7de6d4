"""A network as OpenVINO's own files, .xml and .bin: the graph that the light engine runs, with any size of picture."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from espcn_cli.errors import EspcnError
from espcn_cli.exchange.exported import Files, Network
from espcn_cli.exchange.onnx import Input, facts_of

ABOUT = "espcn"
"""Where in the file the facts about a network stand."""


def openvino_ir(network: Network, form: Input) -> Files:
    """The .xml file of a network and the .bin file that belongs to it. Raises EspcnError without OpenVINO."""
    try:
        from espcn_cli.engines import openvino_graph
        from espcn_cli.engines.openvino_runtime import ov
    except ImportError:
        raise EspcnError(
            "an .xml file is written by OpenVINO, which is not installed: pip install 'espcn[fast]'"
        ) from None
    planes = network.settings.planes
    rgb = form == "rgb"
    kind = openvino_graph.Form(3) if rgb else openvino_graph.Form(planes, "float32")
    shape = (-1, -1, -1, 3) if rgb else (-1, planes, -1, -1)
    blueprint = openvino_graph.Blueprint(network.settings, network.weights, ranges=network.ranges)
    graph = openvino_graph.build(blueprint, kind, shape)
    model = ov.Model([graph.output(0)], graph.get_parameters(), "espcn")  # not whether it is finite
    for port, name in ((model.input(0), "input"), (model.output(0), "output")):
        port.get_tensor().set_names({name})
    for key, value in facts_of(network, form).items():
        model.set_rt_info(value, [ABOUT, key])
    with TemporaryDirectory() as folder:
        path = Path(folder, "model.xml")
        ov.save_model(model, path, compress_to_fp16=False)
        return {suffix: path.with_suffix(suffix).read_bytes() for suffix in (".xml", ".bin")}
