//! A finished graph.

use std::collections::{HashMap, HashSet};

use prost::Message;

use crate::graph::{Node, Source};
use crate::proto::{
    DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto, TensorProto, TensorShapeProto,
    TensorTypeProto, TypeProto, ValueInfoProto,
};
use crate::{Constant, DType, Error, ErrorKind, Graph, IR_VERSION, OPSET, Result, Shape};

/// A finished graph: only what its outputs need.
#[derive(Debug)]
pub struct Model<'w> {
    pub(crate) graph: Graph<'w>,
}

/// A constant that the graph needs.
#[derive(Debug)]
pub(crate) struct Initializer<'m, 'w> {
    /// The value that it is.
    id: usize,
    pub(crate) constant: &'m Constant<'w>,
    /// Of element type, shape and bytes.
    pub(crate) hash: blake3::Hash,
}

impl<'w> Graph<'w> {
    /// Ends the construction: drops what no output needs.
    ///
    /// # Errors
    /// `Invalid` if there is no output.
    pub fn finish(mut self) -> Result<Model<'w>> {
        if self.outputs.is_empty() {
            return Err(self.fail("finish", ErrorKind::Invalid, "the graph has no output"));
        }
        let needed = self.needed_values();
        self.nodes.retain(|node| needed.contains(&node.output));
        self.known_constants.retain(|_, id| needed.contains(id));
        Ok(Model { graph: self })
    }

    fn needed_values(&self) -> HashSet<usize> {
        let mut needed: HashSet<usize> = self.outputs.iter().map(|(_, id)| *id).collect();
        // Nodes stand in the order of their making, so each comes after all that it needs.
        for node in self.nodes.iter().rev() {
            if needed.contains(&node.output) {
                needed.extend(node.inputs.iter().flatten());
            }
        }
        needed
    }

    /// Inputs and outputs keep their names, other values are called after their node, constants after their first use.
    pub(crate) fn value_names(&self, node_names: &[String]) -> HashMap<usize, String> {
        let mut names: HashMap<usize, String> = self.outputs.iter().map(|(name, id)| (*id, name.clone())).collect();
        for id in &self.inputs {
            if let Source::Input(name) = &self.values[*id].source {
                names.insert(*id, name.clone());
            }
        }
        for (node, name) in self.nodes.iter().zip(node_names) {
            names.entry(node.output).or_insert_with(|| format!("{name}:0"));
            for (i, id) in node.inputs.iter().enumerate() {
                if let Some(id) = id {
                    names.entry(*id).or_insert_with(|| format!("{name}#{i}"));
                }
            }
        }
        names
    }

    /// What nodes give to other nodes only: the file tells their shapes too, so that a reader need not infer them.
    fn inner_values(&self) -> impl Iterator<Item = usize> {
        let outputs: HashSet<usize> = self.outputs.iter().map(|(_, id)| *id).collect();
        self.nodes.iter().map(|node| node.output).filter(move |id| !outputs.contains(id))
    }

    /// All of it but the constants.
    fn encode(&self, names: &HashMap<usize, String>, node_names: &[String]) -> GraphProto {
        let name_of = |id: &usize| names.get(id).cloned().unwrap_or_default();
        let nodes = self.nodes.iter().zip(node_names).map(|(node, name)| NodeProto {
            input: node.inputs.iter().map(|id| id.as_ref().map(name_of).unwrap_or_default()).collect(),
            output: vec![name_of(&node.output)],
            name: name.clone(),
            op_type: node.kind.into(),
            attribute: node.attributes.clone(),
            domain: node.domain.into(),
        });
        GraphProto {
            node: nodes.collect(),
            name: self.name.clone(),
            input: self.inputs.iter().map(|id| self.port(name_of(id), *id)).collect(),
            output: self.outputs.iter().map(|(name, id)| self.port(name.clone(), *id)).collect(),
            value_info: self.inner_values().map(|id| self.port(name_of(&id), id)).collect(),
            ..Default::default()
        }
    }

    fn port(&self, name: String, id: usize) -> ValueInfoProto {
        let info = &self.values[id];
        ValueInfoProto { name, r#type: Some(tensor_type(info.dtype, &info.shape)) }
    }
}

impl<'w> Model<'w> {
    /// Whether layers of it are maskline's own operators, see [`Graph::with_own_layers`].
    pub fn has_own_layers(&self) -> bool {
        self.graph.nodes.iter().any(|node| ["Linear", "Mlp", "MultiHeadAttention"].contains(&node.kind) && node.domain == crate::OWN_DOMAIN)
    }

    /// Number of nodes.
    pub fn node_count(&self) -> usize {
        self.graph.nodes.len()
    }

    /// Number of nodes of one operator.
    pub fn count_of(&self, operator: &str) -> usize {
        self.graph.nodes.iter().filter(|node| node.kind == operator).count()
    }

    /// Bytes of all constants.
    pub fn weight_bytes(&self) -> u64 {
        self.initializers().iter().map(|initializer| initializer.constant.bytes.len() as u64).sum()
    }

    /// The constants, in the order of their making.
    pub(crate) fn initializers(&self) -> Vec<Initializer<'_, 'w>> {
        let graph = &self.graph;
        let constant = |(hash, id): (&blake3::Hash, &usize)| match graph.values[*id].source {
            Source::Constant(index) => Some(Initializer { id: *id, constant: &graph.constants[index], hash: *hash }),
            _ => None,
        };
        let mut found: Vec<_> = graph.known_constants.iter().filter_map(constant).collect();
        found.sort_unstable_by_key(|initializer| initializer.id);
        found
    }

    /// The whole model as one file's content.
    ///
    /// # Errors
    /// `Invalid` if the weights exceed what one file can hold (2 GB); a [`Saver`](crate::Saver) can write those.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        if self.weight_bytes() >= 1 << 31 {
            return Err(Error::new(ErrorKind::Invalid, "the weights exceed 2 GB; save the model with external data"));
        }
        Ok(self.encode(|_, constant| TensorProto { raw_data: Some(constant.bytes.to_vec()), ..Default::default() }))
    }

    /// Encodes the model; `place` says where the bytes of each constant are.
    pub(crate) fn encode(&self, mut place: impl FnMut(usize, &Constant<'_>) -> TensorProto) -> Vec<u8> {
        let graph = &self.graph;
        let node_names = node_names(&graph.nodes);
        let names = graph.value_names(&node_names);
        let initializers = self.initializers().into_iter().enumerate().map(|(i, Initializer { id, constant, .. })| TensorProto {
            dims: constant.shape.iter().map(|d| *d as i64).collect(),
            data_type: constant.dtype.code(),
            name: names.get(&id).cloned().unwrap_or_default(),
            ..place(i, constant)
        });
        let mut domains: Vec<&str> = graph.nodes.iter().map(|node| node.domain).filter(|domain| !domain.is_empty()).collect();
        domains.sort_unstable();
        domains.dedup();
        let mut opset_import = vec![OperatorSetIdProto { domain: String::new(), version: OPSET }];
        opset_import.extend(domains.iter().map(|domain| OperatorSetIdProto { domain: (*domain).into(), version: 1 }));
        let model = ModelProto {
            ir_version: IR_VERSION,
            producer_name: "maskline".into(),
            producer_version: env!("CARGO_PKG_VERSION").into(),
            graph: Some(GraphProto { initializer: initializers.collect(), ..graph.encode(&names, &node_names) }),
            opset_import,
            metadata_props: graph.metadata.iter().map(|(key, value)| StringStringEntryProto::new(key, value)).collect(),
        };
        model.encode_to_vec()
    }
}

/// `scope.Operator`, numbered where that is not unique.
pub(crate) fn node_names(nodes: &[Node]) -> Vec<String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    nodes
        .iter()
        .map(|node| {
            let base = if node.scope.is_empty() { node.kind.to_string() } else { format!("{}.{}", node.scope, node.kind) };
            let count = seen.entry(base.clone()).or_default();
            *count += 1;
            if *count == 1 { base } else { format!("{base}_{count}") }
        })
        .collect()
}

fn tensor_type(dtype: DType, shape: &Shape) -> TypeProto {
    let dim = shape.0.iter().map(|d| match d.known() {
        Some(size) => DimensionProto { dim_value: Some(size as i64), dim_param: None },
        None => DimensionProto { dim_value: None, dim_param: Some(d.to_string()) },
    });
    let shape = TensorShapeProto { dim: dim.collect() };
    TypeProto { tensor_type: Some(TensorTypeProto { elem_type: dtype.code(), shape: Some(shape) }) }
}
