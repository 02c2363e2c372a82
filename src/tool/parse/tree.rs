//! Which array of a JSON document is the table.

use super::value::Json;

/// Rows that belong together and the tool's own time of them.
#[derive(Debug)]
pub(super) struct Block<'j, 'a> {
    pub(super) clock: Option<String>,
    pub(super) rows: Vec<&'j Json<'a>>,
}

/// Arrays of objects that stand at the same place.
struct Group<'j, 'a> {
    path: Vec<String>,
    /// Arrays around it.
    depth: i32,
    rows: Vec<&'j Json<'a>>,
}

impl Group<'_, '_> {
    /// Cells with a single value; what lies deeper counts half.
    fn weight(&self) -> f64 {
        let cells: usize = self.rows.iter().map(|r| r.width()).sum();
        cells as f64 / 2f64.powi(self.depth)
    }
}

/// The main array of an object and the keys that lead to it; the object itself if that says more.
/// `before` is where it was in the document before this one.
pub(super) fn main<'j, 'a>(
    root: &'j Json<'a>,
    before: Option<&[String]>,
) -> (Vec<String>, Vec<Block<'j, 'a>>) {
    if let Some(found) = sysstat(root) {
        return found;
    }
    let mut groups = vec![Group { path: Vec::new(), depth: 0, rows: vec![root] }];
    collect(root, &[], 1, &mut groups);
    let known = before.and_then(|path| groups.iter().position(|g| g.path == path));
    let best = known.unwrap_or_else(|| heaviest(&groups));
    let group = groups.swap_remove(best);
    (group.path, vec![Block { clock: None, rows: group.rows }])
}

/// The first of the heaviest groups.
fn heaviest(groups: &[Group<'_, '_>]) -> usize {
    let mut best = 0;
    for (i, group) in groups.iter().enumerate() {
        if group.weight() > groups[best].weight() {
            best = i;
        }
    }
    best
}

/// Finds arrays of objects, those at the same place together.
fn collect<'j, 'a>(
    value: &'j Json<'a>,
    path: &[String],
    depth: i32,
    groups: &mut Vec<Group<'j, 'a>>,
) {
    for (key, inner) in value.object().unwrap_or_default() {
        let path: Vec<String> = path.iter().cloned().chain([key.to_string()]).collect();
        match inner {
            Json::Object(_) => collect(inner, &path, depth, groups),
            Json::Array(items) => {
                let Some(rows) = inner.objects() else { continue };
                if is_family(value, inner) {
                    continue;
                }
                match groups.iter_mut().find(|g| g.path == path) {
                    Some(group) => group.rows.extend(rows),
                    None => groups.push(Group {
                        path: path.clone(),
                        depth,
                        rows: rows.iter().collect(),
                    }),
                }
                items.iter().for_each(|item| collect(item, &path, depth + 1, groups));
            }
            _ => {}
        }
    }
}

/// Whether an array in an object holds objects like it (`children` of `lsblk -J`).
fn is_family(parent: &Json<'_>, array: &Json<'_>) -> bool {
    let (Some(keys), Some([child, ..])) = (parent.object(), array.objects()) else { return false };
    let Some(inner) = child.object() else { return false };
    let same = inner.iter().filter(|(k, _)| keys.iter().any(|(p, _)| p == k)).count();
    inner.len() > 1 && same * 5 >= inner.len() * 3 && same > 1
}

/// Calls `take` for an object and, below it, for those inside that are like it.
pub(super) fn each(object: &Json<'_>, take: &mut dyn FnMut(&Json<'_>)) {
    let Json::Object(entries) = object else { return };
    if !entries.iter().any(|(_, v)| is_family(object, v)) {
        return take(object);
    }
    let own = entries.iter().filter(|(_, v)| !is_family(object, v)).cloned().collect();
    take(&Json::Object(own));
    for (_, inner) in entries.iter().filter(|(_, v)| is_family(object, v)) {
        inner.objects().unwrap_or_default().iter().for_each(|child| each(child, take));
    }
}

/// Whether an object says nothing itself but holds an array of objects.
pub(super) fn is_wrapper(root: &Json<'_>) -> bool {
    let entries = root.object().unwrap_or_default();
    let single = |v: &Json<'_>| !matches!(v, Json::Array(_) | Json::Object(_));
    if entries.iter().any(|(_, v)| single(v)) {
        return false;
    }
    let mut groups = Vec::new();
    collect(root, &[], 0, &mut groups);
    !groups.is_empty()
}

/// `iostat -o JSON`, `mpstat -o JSON`, `sadf -j`: intervals in `statistics`, each with its time and
/// the arrays of what was measured.
fn sysstat<'j, 'a>(root: &'j Json<'a>) -> Option<(Vec<String>, Vec<Block<'j, 'a>>)> {
    let hosts = root.get("sysstat")?.get("hosts")?.objects()?;
    let intervals: Vec<&Json<'a>> =
        hosts.iter().filter_map(|h| h.get("statistics")?.objects()).flatten().collect();
    let arrays = |interval: &'j Json<'a>| {
        let mut groups = vec![Group { path: Vec::new(), depth: 0, rows: vec![interval] }];
        collect(interval, &[], 0, &mut groups);
        groups
    };
    // The last interval may be cut off; the first says what there is.
    let mut groups = arrays(intervals.first()?);
    let best = if groups.len() > 1 { 1 + heaviest(&groups[1..]) } else { 0 };
    let path = groups.swap_remove(best).path;
    let blocks = intervals
        .into_iter()
        .filter_map(|interval| {
            let group = arrays(interval).into_iter().find(|g| g.path == path)?;
            Some(Block { clock: clock(interval), rows: group.rows })
        })
        .collect();
    Some((path, blocks))
}

/// The time of an interval: one text, or date and time apart.
fn clock(interval: &Json<'_>) -> Option<String> {
    let stamp = interval.get("timestamp")?;
    if let Some(text) = stamp.text() {
        return Some(text.to_owned());
    }
    let part = |key: &str| stamp.get(key).and_then(Json::text);
    match (part("date"), part("time")) {
        (Some(date), Some(time)) => Some(format!("{date} {time}")),
        (_, time) => time.map(str::to_owned),
    }
}

/// The kind and the content of a line of `bpftrace -f json`.
pub(super) fn bpftrace<'j, 'a>(root: &'j Json<'a>) -> Option<(&'j str, &'j Json<'a>)> {
    let [(first, kind), (second, data)] = root.object()? else { return None };
    let kind = kind.text().filter(|_| first == "type" && second == "data")?;
    matches!(
        kind,
        "map" | "hist" | "stats" | "printf" | "time" | "cat" | "join" | "system" | "value"
    )
    .then_some((kind, data))
    .or_else(|| is_notice(kind).then_some((kind, data)))
}

/// Whether it tells of bpftrace itself.
pub(super) fn is_notice(kind: &str) -> bool {
    matches!(kind, "attached_probes" | "lost_events" | "helper_error")
}
