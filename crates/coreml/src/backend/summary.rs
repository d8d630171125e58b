//! What was compiled: the nodes that are written, and where Core ML means to run
//! them.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use laterna_graph::{CompileError, Graph, Node, NodeSummary, Op, ProgramSummary, cost};

use super::error::{refused, unwritten};
use super::ports::Ports;
use super::{CoreMlBackend, Loaded, Source, forms, function};
use crate::emit::{self, Package};
use crate::run::{Placed, Placement};

impl CoreMlBackend {
    /// The written nodes in order, and then one that stands for the prediction as a
    /// whole: the only one that [`laterna_graph::Instance::run_timed`] can time.
    pub(super) fn summarize(
        &self,
        source: &Source<'_>,
        ports: &Ports,
        loaded: &Loaded,
    ) -> Result<ProgramSummary, CompileError> {
        let placement = match self.options.placement {
            true => Some(self.placement(source, loaded)?),
            false => None,
        };
        let graph = source.prepared;
        let mut nodes: Vec<_> = graph
            .nodes()
            .iter()
            .filter(|node| emit::is_written(&node.op))
            .map(|node| NodeSummary {
                name: node.name.clone(),
                op: node.op.name(),
                kernel: kernel(node, &loaded.written, placement.as_ref()),
                shape: graph.shape(node.output),
                flops: cost::node_flops(graph, node),
            })
            .collect();
        nodes.push(self.prediction(graph));
        let port_bytes = ports.inputs.iter().chain(&ports.outputs).map(|port| port.ty.size_bytes());
        Ok(ProgramSummary {
            nodes,
            // Of Core ML's own memory nothing is known.
            arena_bytes: port_bytes.sum(),
            weight_bytes: folder_bytes(loaded.entry.model()),
        })
    }

    fn prediction(&self, graph: &Graph) -> NodeSummary {
        NodeSummary {
            name: "prediction".into(),
            op: "predict",
            kernel: format!("Core ML on {}", self.options.units),
            shape: graph.outputs().first().map(|&(_, id)| graph.shape(id)).unwrap_or_default(),
            flops: 0,
        }
    }

    /// Where the operations run, by the node that each is written for.
    fn placement(
        &self,
        source: &Source<'_>,
        loaded: &Loaded,
    ) -> Result<HashMap<Arc<str>, Placement>, CompileError> {
        let placement = self.device.placement(loaded.entry.model(), &self.run_options());
        let placement = placement.map_err(|error| refused(&error, error.hint()))?;
        let entries = [function(source.graph, source.images(loaded.form))];
        let package = Package { description: "", entries: &entries };
        let sources = emit::sources(&package, source.weights, &loaded.written);
        let sources = sources.map_err(|error| unwritten(source.prepared, error))?;
        let nodes: HashMap<_, _> =
            sources.into_iter().map(|source| (source.result, source.node)).collect();
        let mut of_nodes = HashMap::<_, Placement>::new();
        for placed in placement.0 {
            if let Some(node) = nodes.get(placed.result.as_str()) {
                of_nodes.entry(node.clone()).or_default().0.push(placed);
            }
        }
        Ok(of_nodes)
    }
}

/// Where a node runs, or, if that was not asked, the form in which it is written.
fn kernel(
    node: &Node,
    written: &emit::Options,
    placement: Option<&HashMap<Arc<str>, Placement>>,
) -> String {
    match placement.map(|of_nodes| of_nodes.get(&node.name)) {
        Some(Some(placement)) => placed(placement),
        Some(None) => "unknown".to_owned(),
        None if matches!(node.op, Op::Attention(_)) => forms::name(written.attention).to_owned(),
        None => "mil".to_owned(),
    }
}

/// Such as "GPU 3, 12.5 % of the cost".
fn placed(placement: &Placement) -> String {
    let costs: Option<Vec<_>> = placement.0.iter().map(|Placed { cost, .. }| *cost).collect();
    match costs {
        Some(costs) => {
            format!("{placement}, {:.1} % of the cost", 100.0 * costs.iter().sum::<f64>())
        }
        None => placement.to_string(),
    }
}

/// What a compiled model takes on the disk, nearly all of it weights.
fn folder_bytes(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let bytes = entries.map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => folder_bytes(&entry.path()),
        Ok(metadata) => metadata.len() as usize,
        Err(_) => 0,
    });
    bytes.sum()
}
