//! Patterns that read like the formula they stand for, and the search for them
//! in a graph.
//!
//! A pattern is matched from its last operation backwards. What it computes on
//! the way must have no other reader, or the rewrite would compute it twice.

use crate::graph::{Graph, Node};
use crate::op::{Binary, Op};
use crate::{Patch, PatchError, ValueId};

/// A formula over the values of a graph.
#[derive(Clone)]
pub(super) struct Pattern {
    name: Option<&'static str>,
    form: Form,
}

#[derive(Clone)]
enum Form {
    Any,
    Constant,
    Node(Applied),
    /// An operation on one input that may be absent.
    Maybe(Applied),
}

/// An operation on its first inputs; further inputs are not looked at.
#[derive(Clone)]
struct Applied {
    accepts: fn(&Op) -> bool,
    inputs: Vec<Pattern>,
}

/// Any value.
pub(super) fn any(name: &'static str) -> Pattern {
    Pattern { name: Some(name), form: Form::Any }
}

/// A value that never changes.
pub(super) fn constant(name: &'static str) -> Pattern {
    Pattern { name: Some(name), form: Form::Constant }
}

/// An accepted operation on these inputs.
pub(super) fn node<const N: usize>(accepts: fn(&Op) -> bool, inputs: [Pattern; N]) -> Pattern {
    Pattern { name: None, form: Form::Node(Applied { accepts, inputs: inputs.into() }) }
}

/// An accepted operation on `input`, or `input` itself.
pub(super) fn maybe(accepts: fn(&Op) -> bool, input: Pattern) -> Pattern {
    Pattern { name: None, form: Form::Maybe(Applied { accepts, inputs: vec![input] }) }
}

/// A convolution or linear layer with some epilogue.
pub(super) fn product(input: Pattern) -> Pattern {
    node(|op| op.epilogue().is_some(), [input])
}

/// `a + b` or `b + a`.
pub(super) fn add(a: Pattern, b: Pattern) -> Pattern {
    node(|op| matches!(op, Op::Binary(Binary::Add)), [a, b])
}

/// `a * b` or `b * a`.
pub(super) fn mul(a: Pattern, b: Pattern) -> Pattern {
    node(|op| matches!(op, Op::Binary(Binary::Mul)), [a, b])
}

/// Any element-wise function.
pub(super) fn activation(x: Pattern) -> Pattern {
    node(|op| matches!(op, Op::Activation(_)), [x])
}

/// `x * scale + offset`.
pub(super) fn affine(x: Pattern) -> Pattern {
    node(|op| matches!(op, Op::Affine { .. }), [x])
}

/// The same elements under another shape.
pub(super) fn reshape(x: Pattern) -> Pattern {
    node(|op| matches!(op, Op::Reshape { .. }), [x])
}

impl Pattern {
    /// Gives the value a name under which [`Match`] knows it. A name used twice
    /// stands for one value.
    pub(super) fn named(self, name: &'static str) -> Self {
        Self { name: Some(name), ..self }
    }
}

/// Where a pattern was found.
pub(super) struct Match<'g> {
    graph: &'g Graph,
    root: ValueId,
    names: Vec<(&'static str, ValueId)>,
    reads: Vec<Read>,
}

/// One matched input of a matched node.
#[derive(PartialEq)]
struct Read {
    reader: ValueId,
    position: usize,
    value: ValueId,
}

impl<'g> Match<'g> {
    /// The value of a name.
    ///
    /// # Panics
    /// If the pattern has no such name.
    pub(super) fn value(&self, name: &str) -> ValueId {
        self.find(name).expect("the pattern has this name")
    }

    /// The node that computes the value of a name.
    ///
    /// # Panics
    /// If the pattern has no such name or does not compute its value.
    pub(super) fn node(&self, name: &str) -> &'g Node {
        self.graph.producer(self.value(name)).expect("the pattern computes this value")
    }

    /// The node of an operation that may be absent.
    pub(super) fn maybe_node(&self, name: &str) -> Option<&'g Node> {
        self.graph.producer(self.find(name)?)
    }

    /// The node of the last operation.
    ///
    /// # Panics
    /// If the pattern is only a name.
    pub(super) fn root(&self) -> &'g Node {
        self.graph.producer(self.root).expect("a pattern ends in an operation")
    }

    fn find(&self, name: &str) -> Option<ValueId> {
        self.names.iter().find(|(known, _)| *known == name).map(|&(_, id)| id)
    }

    fn matches(&mut self, pattern: &Pattern, id: ValueId) -> bool {
        let (names, reads) = (self.names.len(), self.reads.len());
        let fits = match &pattern.form {
            Form::Any => true,
            Form::Constant => self.graph.constant(id).is_some(),
            Form::Node(applied) => self.applied(applied, id),
            Form::Maybe(applied) => {
                if !self.applied(applied, id) {
                    self.reads.truncate(reads);
                    self.names.truncate(names);
                    return self.matches(&applied.inputs[0], id);
                }
                true
            }
        };
        let fits = fits && self.bind(pattern.name, id);
        if !fits {
            self.names.truncate(names);
            self.reads.truncate(reads);
        }
        fits
    }

    fn applied(&mut self, applied: &Applied, id: ValueId) -> bool {
        let Some(node) = self.graph.producer(id).filter(|node| (applied.accepts)(&node.op)) else {
            return false;
        };
        let commutes = matches!(node.op, Op::Binary(Binary::Add | Binary::Mul));
        self.inputs(applied, node, false) || commutes && self.inputs(applied, node, true)
    }

    fn inputs(&mut self, applied: &Applied, node: &Node, swapped: bool) -> bool {
        let (names, reads) = (self.names.len(), self.reads.len());
        let fits = applied.inputs.iter().enumerate().all(|(index, pattern)| {
            let position = if swapped { 1 - index } else { index };
            let value = node.inputs[position];
            self.reads.push(Read { reader: node.output, position, value });
            self.matches(pattern, value)
        });
        if !fits {
            self.names.truncate(names);
            self.reads.truncate(reads);
        }
        fits
    }

    fn bind(&mut self, name: Option<&'static str>, id: ValueId) -> bool {
        let Some(name) = name else { return true };
        match self.find(name) {
            Some(known) => known == id,
            None => {
                self.names.push((name, id));
                true
            }
        }
    }

    /// Whether what the match computes is read by nobody else, or costs nothing
    /// to have twice.
    fn is_private(&self, uses: &[u32]) -> bool {
        let mut distinct: Vec<&Read> = Vec::new();
        for read in &self.reads {
            if !distinct.contains(&read) {
                distinct.push(read);
            }
        }
        let reads = |id| distinct.iter().filter(|read| read.value == id).count();
        let private = |id: ValueId| self.is_free(id) || reads(id) == uses[id.index()] as usize;
        self.reads.iter().map(|read| read.reader).all(|id| id == self.root || private(id))
    }

    /// Whether a matched value is a view, of views, of what the match only names.
    fn is_free(&self, id: ValueId) -> bool {
        let is_view = |node: &Node| matches!(node.op, Op::Reshape { .. } | Op::Transpose(_));
        let is_computed = |id| self.reads.iter().any(|read| read.reader == id);
        let mut inputs = self.reads.iter().filter(|read| read.reader == id);
        self.graph.producer(id).is_some_and(is_view)
            && inputs.all(|read| !is_computed(read.value) || self.is_free(read.value))
    }
}

/// Replaces every place where the pattern is found by what `build` makes of it;
/// `None` leaves the place as it is.
pub(super) fn rewrite<'g>(
    patch: &mut Patch<'g>,
    graph: &'g Graph,
    pattern: &Pattern,
    mut build: impl FnMut(&Match<'g>, &mut Patch<'g>) -> Result<Option<ValueId>, PatchError>,
) -> Result<(), PatchError> {
    let uses = graph.use_counts();
    for root in graph.nodes().iter().map(|node| node.output) {
        let mut found = Match { graph, root, names: Vec::new(), reads: Vec::new() };
        if found.matches(pattern, root)
            && found.is_private(&uses)
            && let Some(new) = build(&found, patch)?
        {
            patch.replace(root, new)?;
        }
    }
    Ok(())
}
