//! What is shared, as a tree of folders and files.

use std::collections::BTreeMap;

use super::{GraphBuilder, Item};
use crate::service::talk::decoded;

/// A file or a folder, with what is in it.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// It stays the same as long as the path does.
    pub(super) id: String,
    pub(super) what: What,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    File(usize),
    Folder(BTreeMap<String, usize>),
}

impl Node {
    fn new(path: &str, what: What) -> Self {
        let hash = path
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        Self { id: format!("i{hash:016x}"), what }
    }
}

impl GraphBuilder {
    /// The tree of items: the root first, then by number.
    pub(super) fn nodes(&self) -> Vec<Node> {
        let mut nodes = vec![Node::new("", What::Folder(BTreeMap::new()))];
        for (number, item) in self.items.iter().enumerate() {
            let mut at = 0;
            let mut path = String::new();
            let (folders, name) = item.path.rsplit_once('/').map_or(("", item.path.as_str()), |both| both);
            for part in folders.split('/').filter(|part| !part.is_empty()) {
                path = format!("{path}/{part}");
                at = child(&mut nodes, at, part, Node::new(&path, What::Folder(BTreeMap::new())));
            }
            child(&mut nodes, at, name, Node::new(&id_of(item), What::File(number)));
        }
        nodes
    }
}

/// What the id of a file is made of.
fn id_of(item: &Item) -> String {
    match item.uploads {
        0 => item.path.clone(),
        uploads => format!("{}?{uploads}", item.path),
    }
}

/// The number of a node's child; the node itself if it is new.
fn child(nodes: &mut Vec<Node>, at: usize, name: &str, node: Node) -> usize {
    let next = nodes.len();
    let What::Folder(children) = &mut nodes[at].what else { return at };
    if let Some(held) = children.get(name) {
        return *held;
    }
    children.insert(name.to_owned(), next);
    nodes.push(node);
    next
}

/// The number of an item, and the name it has.
pub(super) fn own_path(nodes: &[Node], path: &str) -> Option<(usize, String)> {
    let path = path.strip_prefix("root:/")?.strip_suffix(':')?;
    let mut at = 0;
    let mut name = String::new();
    for part in path.split('/') {
        let What::Folder(children) = &nodes[at].what else { return None };
        name = decoded(part);
        at = *children.get(&name)?;
    }
    Some((at, name))
}

pub(super) fn number_of(id: &str, nodes: &[Node]) -> Option<usize> {
    nodes.iter().position(|node| node.id == id)
}
