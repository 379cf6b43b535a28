//! Topics of Sparkplug B (Sparkplug 3.0.0, section 4.1): `spBv1.0/<group>/<type>/<node>[/<device>]`.

/// The first level of every topic: the namespace, with its version.
const NAMESPACE: &str = "spBv1.0";

/// What a message says of its node or device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Birth,
    Data,
    Death,
}

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Subject<'t> {
    pub(super) group: &'t str,
    pub(super) node: &'t str,
    /// `None`: the node itself.
    pub(super) device: Option<&'t str>,
}

/// Bytes of group, node and device together, with what stands between them: no longer than a sensor or a device may be called.
const MAX_BYTES: usize = 256;

/// Takes a topic apart; `None` if nodes and devices say nothing of themselves there.
pub(super) fn parse(topic: &str) -> Option<(Kind, Subject<'_>)> {
    let mut levels = topic.split('/');
    let namespace = levels.next()?;
    let (group, word, node) = (levels.next()?, levels.next()?, levels.next()?);
    let device = levels.next();
    let kind = match (word, device) {
        ("NBIRTH", None) | ("DBIRTH", Some(_)) => Kind::Birth,
        ("NDATA", None) | ("DDATA", Some(_)) => Kind::Data,
        ("NDEATH", None) | ("DDEATH", Some(_)) => Kind::Death,
        _ => return None,
    };
    let is_whole = namespace == NAMESPACE && levels.next().is_none();
    let names = [Some(group), Some(node), device].into_iter().flatten();
    let is_named = names.clone().all(|name| !name.is_empty());
    let length = names.map(|name| name.len() + 1).sum::<usize>() - 1;
    let subject = Subject {
        group,
        node,
        device,
    };
    (is_whole && is_named && length <= MAX_BYTES).then_some((kind, subject))
}

/// Whether what is published there is for others: commands to nodes and devices, and the state of host applications.
pub(super) fn is_for_others(topic: &str) -> bool {
    let mut levels = topic.split('/');
    let (namespace, second, third) = (levels.next(), levels.next(), levels.next());
    namespace == Some(NAMESPACE)
        && (second == Some("STATE") || matches!(third, Some("NCMD" | "DCMD")))
}

impl Subject<'_> {
    /// The name of its status: a device id has no `/`.
    pub(super) fn device_id(&self) -> String {
        let (group, node) = (self.group, self.node);
        match self.device {
            None => format!("{group}:{node}"),
            Some(device) => format!("{group}:{node}:{device}"),
        }
    }

    /// The name of its node among all.
    pub(super) fn whole_node(&self) -> String {
        format!("{}/{}", self.group, self.node)
    }

    /// The sensor of one of its metrics.
    pub(super) fn sensor(&self, metric: &str) -> String {
        let (group, node) = (self.group, self.node);
        match self.device {
            None => format!("{group}/{node}/{metric}"),
            Some(device) => format!("{group}/{node}/{device}/{metric}"),
        }
    }

    /// Where the node takes commands.
    pub(super) fn commands(&self) -> String {
        format!("{NAMESPACE}/{}/NCMD/{}", self.group, self.node)
    }
}
