//! Which index serves a view.
//!
//! A tree of rows or of an index is sorted by its columns. It *supports* a filter if its columns, read from the left, are
//! first some with an equality, then at most one with a range, and no constrained column is left over. It *supports* an
//! order if the order's columns are the first of its own, those that are fixed by an equality aside. The tree of rows,
//! whose columns are all columns of the table, goes before the indexes, and these go in the order of their declaration.
//! The rows of a view come in the order of the tree that supports it.
//!
//! Where none does, the view still has its rows: whatever tree leaves the fewest conditions over is read, and what was
//! left over is checked row by row. They come in the order that was asked for, if any, then in that of the key, by a sort
//! if the tree has another.

use crate::value::State;
use crate::value::collection::{Bound, Condition, View};
use crate::value::schema::Schema;

/// How the rows of a view are found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Access {
    /// The index to read, by its position in [`Schema::indexes`]; nothing for the tree of rows.
    pub index: Option<usize>,
    /// The cells that the first columns of the tree are equal to: those of [`Schema::index_columns`], or of the key.
    pub prefix: Vec<State>,
    /// The range of the column after the prefix.
    pub last: Option<(Bound, Bound)>,
    /// The conditions that prefix and range do not ensure, by the positions of their columns in the schema.
    pub residual: Vec<(usize, Condition)>,
    /// The columns to sort by, which no two rows agree in; nothing if the rows are read in their order.
    pub sort: Option<Vec<usize>>,
    /// The columns that the rows come out sorted by, which no two rows agree in: those of `sort`, or of the tree.
    pub order: Vec<usize>,
    /// Whether the rows come out in descending order: the tree is read from its end, or the sort is reversed.
    pub reverse: bool,
    /// Whether the tree supports filter and order, so that no row is read in vain and none is sorted.
    pub is_served: bool,
}

/// How the rows of `view`, which is of a collection of `schema`, are found.
pub fn access(schema: &Schema, view: &View) -> Access {
    let trees = Tree::all(schema, &view.filter);
    let wanted = view.order.as_deref().unwrap_or_default();
    let supports = |tree: &&Tree| tree.supports(&view.filter) && tree.is_sorted_by(schema, &view.filter, wanted);
    if let Some(tree) = trees.iter().find(supports) {
        return tree.access(view, None, true);
    }

    let sort = with_key(schema, wanted);
    let is_sorted = |tree: &Tree| tree.is_point(schema) || tree.is_sorted_by(schema, &view.filter, &sort);
    // An index in whole has its rows all over the tree of rows, and a sort is cheaper than that.
    let is_cheap = |tree: &Tree| (tree.index.is_none() || tree.is_narrow()) && is_sorted(tree);
    // Of trees that are equally good, the last is the maximum: hence the reversed order.
    let best =
        trees.iter().rev().max_by_key(|tree| (tree.is_point(schema), tree.equal, tree.has_range, is_cheap(tree)));
    let Some(tree) = best else { return Tree::of_rows(schema, &view.filter).access(view, None, false) };
    let is_sorted = is_sorted(tree);
    tree.access(view, (!is_sorted).then_some(sort), false)
}

/// `columns`, then the key columns that are missing, so that no two rows agree in all of them.
fn with_key(schema: &Schema, columns: &[usize]) -> Vec<usize> {
    let missing = (0..schema.key_len).filter(|column| !columns.contains(column));
    columns.iter().copied().chain(missing).collect()
}

/// A tree of rows or of an index, and how far a filter narrows the part of it that has to be read.
struct Tree {
    index: Option<usize>,
    /// The columns that it is sorted by.
    columns: Vec<usize>,
    /// How many columns are part of its keys. The tree of rows has the others beside the key.
    key_len: usize,
    /// How many of its first key columns have an equality.
    equal: usize,
    /// Whether the key column after these has a range.
    has_range: bool,
}

impl Tree {
    /// The trees of a collection, that of the rows first.
    fn all(schema: &Schema, filter: &[(usize, Condition)]) -> Vec<Self> {
        let indexes = schema.indexes.iter().enumerate().map(|(position, index)| {
            let columns = schema.index_columns(index);
            let key_len = columns.len();
            Self::new(Some(position), columns, key_len, filter)
        });
        [Self::of_rows(schema, filter)].into_iter().chain(indexes).collect()
    }

    fn of_rows(schema: &Schema, filter: &[(usize, Condition)]) -> Self {
        Self::new(None, schema.primary_columns(), schema.key_len, filter)
    }

    fn new(index: Option<usize>, columns: Vec<usize>, key_len: usize, filter: &[(usize, Condition)]) -> Self {
        let key = &columns[..key_len];
        let equal = key.iter().take_while(|column| is_equal(filter, **column)).count();
        let has_range = key.get(equal).is_some_and(|column| condition(filter, *column).is_some());
        Self { index, columns, key_len, equal, has_range }
    }

    /// Whether the columns with an equality come first, then at most one with a range, and none is left over.
    fn supports(&self, filter: &[(usize, Condition)]) -> bool {
        let equal = self.columns.iter().take_while(|column| is_equal(filter, **column)).count();
        let next = self.columns.get(equal).is_some_and(|column| condition(filter, *column).is_some());
        equal + usize::from(next) == filter.len()
    }

    /// Whether the rows that meet `filter` come out sorted by `wanted`. Columns with an equality make no difference, nor
    /// does anything after the whole key.
    fn is_sorted_by(&self, schema: &Schema, filter: &[(usize, Condition)], wanted: &[usize]) -> bool {
        let is_free = |column: &&usize| !is_equal(filter, **column);
        let mut key_columns = (0..schema.key_len).filter(|column| !is_equal(filter, *column)).count();
        let mut own = self.columns.iter().filter(is_free);
        for column in wanted.iter().filter(is_free) {
            if key_columns == 0 {
                return true;
            }
            if own.next() != Some(column) {
                return false;
            }
            key_columns = key_columns.saturating_sub(usize::from(*column < schema.key_len));
        }
        true
    }

    /// Whether only a part of this tree is read.
    fn is_narrow(&self) -> bool {
        self.equal > 0 || self.has_range
    }

    /// Whether at most one row is read.
    fn is_point(&self, schema: &Schema) -> bool {
        (0..schema.key_len).all(|column| self.columns[..self.equal].contains(&column))
    }

    /// The access to this tree for `view`.
    fn access(&self, view: &View, sort: Option<Vec<usize>>, is_served: bool) -> Access {
        let filter = &view.filter;
        let prefix = self.columns[..self.equal].iter().filter_map(|column| match condition(filter, *column) {
            Some(Condition::Equal(value)) => Some(value.clone()),
            _ => None,
        });
        let ranged = if self.has_range { self.columns.get(self.equal) } else { None };
        let last = ranged.and_then(|column| match condition(filter, *column) {
            Some(Condition::Range(from, to)) => Some((from.clone(), to.clone())),
            _ => None,
        });
        let is_ensured = |column: &usize| self.columns[..self.equal].contains(column) || ranged == Some(column);
        let residual = filter.iter().filter(|(column, _)| !is_ensured(column)).cloned().collect();
        // No two rows agree in the keys of a tree.
        let order = sort.clone().unwrap_or_else(|| self.columns[..self.key_len].to_vec());
        let prefix = prefix.collect();
        Access { index: self.index, prefix, last, residual, sort, order, reverse: view.reverse, is_served }
    }
}

/// The condition on a column.
fn condition(filter: &[(usize, Condition)], column: usize) -> Option<&Condition> {
    filter.iter().find(|(position, _)| *position == column).map(|(_, condition)| condition)
}

fn is_equal(filter: &[(usize, Condition)], column: usize) -> bool {
    matches!(condition(filter, column), Some(Condition::Equal(_)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::compiler::collection::condition::{compare, meets_all};
    use crate::compiler::collection::sample::{self, TS, state};
    use crate::compiler::collection::schema::parse_schema;
    use crate::compiler::collection::selector::{Selector, selector};
    use crate::value::schema::Kind;
    use crate::value::{Collection, Number};

    fn view(schema: &Schema, filter: &str, order: &[&str]) -> View {
        let filter = match selector(schema, &state(filter)).unwrap() {
            Selector::All => vec![],
            Selector::Where(filter) => filter,
            Selector::Key(key) => panic!("{key:?} is no filter"),
        };
        let order: Vec<usize> = order.iter().map(|name| schema.position(name).unwrap()).collect();
        View { filter, order: (!order.is_empty()).then_some(order), ..View::default() }
    }

    /// What is read, and whether it is served: the index, the equal columns, whether there is a range, how many conditions
    /// are left over, and the columns to sort by.
    fn of(schema: &str, filter: &str, order: &[&str]) -> (String, usize, bool, usize, Vec<usize>, bool) {
        let schema = parse_schema(Kind::Table, &state(schema)).unwrap();
        let access = access(&schema, &view(&schema, filter, order));
        let index = access.index.map_or_else(|| "rows".into(), |index| schema.indexes[index].name.to_string());
        let (residual, sort) = (access.residual.len(), access.sort.unwrap_or_default());
        (index, access.prefix.len(), access.last.is_some(), residual, sort, access.is_served)
    }

    #[track_caller]
    fn served(filter: &str, order: &[&str], index: &str, equal: usize, has_range: bool, residual: usize) {
        assert_eq!(
            of(TS, filter, order),
            (index.into(), equal, has_range, residual, vec![], true),
            "{filter} {order:?}"
        );
    }

    #[track_caller]
    fn scanned(
        filter: &str,
        order: &[&str],
        index: &str,
        equal: usize,
        has_range: bool,
        residual: usize,
        sort: &[usize],
    ) {
        let expected = (index.into(), equal, has_range, residual, sort.to_vec(), false);
        assert_eq!(of(TS, filter, order), expected, "{filter} {order:?}");
    }

    #[test]
    fn filters_are_served_by_rows_or_by_the_first_index_that_fits() {
        served("null", &[], "rows", 0, false, 0);
        served(r#"[["city","elm"]]"#, &[], "rows", 1, false, 0);
        served(r#"[["city",[["in","b"],["ex","g"]]]]"#, &[], "rows", 0, true, 0);
        served(r#"[["zone",[["in",2],["ex",6]]]]"#, &[], "by_zone", 0, true, 0);
        served(r#"[["since",2000]]"#, &[], "by_since", 1, false, 0);
        served(r#"[["since",2000],["zone",[["in",1],["ex",3]]]]"#, &[], "by_since", 1, true, 0);
        served(r#"[["zone",[["in",1],["ex",3]]],["since",2000]]"#, &[], "by_since", 1, true, 0);
        served(r#"[["zone",3],["city","ash"]]"#, &[], "rows", 1, false, 1);
        served(r#"[["zone",[["in",1],null]],["city","ash"]]"#, &[], "rows", 1, false, 1);
        served(r#"[["zone",3],["city",[["in","a"],null]]]"#, &[], "by_zone", 1, true, 0);
        served(r#"[["city","ash"],["zone",3],["since",2000]]"#, &[], "rows", 1, false, 2);
    }

    #[test]
    fn orders_are_served_by_rows_or_by_the_first_index_that_fits() {
        served("null", &["zone"], "by_zone", 0, false, 0);
        served("null", &["city"], "rows", 0, false, 0);
        served("null", &["since", "zone"], "by_since", 0, false, 0);
        served("null", &["since"], "by_since", 0, false, 0);
        served("null", &["city", "since"], "rows", 0, false, 0);
        served("null", &["zone", "city", "since"], "by_zone", 0, false, 0);
        served(r#"[["zone",[["in",2],["ex",6]]]]"#, &["zone"], "by_zone", 0, true, 0);
        served(r#"[["since",2000]]"#, &["zone"], "by_since", 1, false, 0);
        served(r#"[["since",2000]]"#, &["since", "zone"], "by_since", 1, false, 0);
        served(r#"[["since",2000]]"#, &["zone", "since", "city"], "by_since", 1, false, 0);
        served(r#"[["city",[["in","b"],null]]]"#, &["city"], "rows", 0, true, 0);
    }

    #[test]
    fn what_no_index_serves_is_scanned_and_sorted() {
        scanned("null", &["zone", "since"], "rows", 0, false, 0, &[1, 2, 0]);
        scanned(r#"[["city",[["in","b"],null]]]"#, &["zone"], "rows", 0, true, 0, &[1, 0]);
        // At most one row has a key.
        scanned(r#"[["city","ash"],["since",2000]]"#, &[], "rows", 1, false, 1, &[]);
        // Rows of a filter that no index supports come in the order of the key.
        scanned(r#"[["since",[["in",1],null]],["zone",[["in",1],null]]]"#, &[], "by_zone", 0, true, 1, &[0]);
        scanned(r#"[["since",2000]]"#, &["city"], "by_since", 1, false, 0, &[0]);
        // An index that only has the order would be read in whole.
        scanned(r#"[["city",[["in","b"],null]]]"#, &["since"], "rows", 0, true, 0, &[2, 0]);
    }

    #[test]
    fn a_key_of_several_columns() {
        let i32 = "/state/scalar/value/number/int/32";
        let schema = format!(r#"[[[["a","{i32}"],["b","{i32}"]],[["v","{i32}"]]],[["by_v",["v"]]]]"#);
        let of = |filter: &str, order: &[&str]| of(&schema, filter, order);
        let rows = || String::from("rows");
        assert_eq!(of(r#"[["a",1]]"#, &[]), (rows(), 1, false, 0, vec![], true));
        assert_eq!(of(r#"[["v",10],["a",1]]"#, &[]), ("by_v".into(), 2, false, 0, vec![], true));
        assert_eq!(of(r#"[["a",1],["b",2],["v",20]]"#, &[]), (rows(), 2, false, 1, vec![], true));
        assert_eq!(of(r#"[["b",1]]"#, &[]), (rows(), 0, false, 1, vec![], false));
        assert_eq!(of("null", &["b"]), (rows(), 0, false, 0, vec![1, 0], false));
        assert_eq!(of(r#"[["a",1]]"#, &["b"]), (rows(), 1, false, 0, vec![], true));
        // An index whose first column is fixed is in the order of the key.
        assert_eq!(of(r#"[["v",10],["b",1]]"#, &[]), ("by_v".into(), 1, false, 1, vec![], false));
    }

    #[test]
    fn a_btree_has_its_rows_only() {
        let schema = parse_schema(Kind::BTree, &state(sample::BS)).unwrap();
        let range = |text| crate::compiler::collection::condition::parse_range(&schema, &state(text)).unwrap();
        let found =
            access(&schema, &View { filter: range(r#"[5,[["in","a"],null]]"#), reverse: true, ..View::default() });
        assert_eq!(found.prefix, [State::from(Number::I32(5))]);
        assert_eq!(found.last, Some((Bound::Inclusive("a".into()), Bound::Open)));
        assert_eq!((found.index, found.residual.len(), found.sort), (None, 0, None));
        assert_eq!((found.order, found.reverse, found.is_served), (vec![0, 1], true, true));
    }

    const SMALL: &str = r#"[[[["a","/state/scalar/value/number/uint/8"],["b","/state/scalar/value/number/uint/8"]],
        [["c","/state/scalar/value/number/uint/8"],["d","/state/scalar/value/number/uint/8"]]],
        [["by_c",["c"]],["by_dc",["d","c"]],["by_bd",["b","d"]]]]"#;

    fn cell() -> impl Strategy<Value = State> {
        (0u8..4).prop_map(|n| Number::U8(n).into())
    }

    fn bound() -> impl Strategy<Value = Bound> {
        prop_oneof![Just(Bound::Open), cell().prop_map(Bound::Inclusive), cell().prop_map(Bound::Exclusive)]
    }

    fn condition_of_any() -> impl Strategy<Value = Condition> {
        prop_oneof![
            cell().prop_map(Condition::Equal),
            (bound(), bound()).prop_map(|(from, to)| Condition::Range(from, to)),
        ]
    }

    fn columns() -> impl Strategy<Value = Vec<usize>> {
        (Just(vec![0usize, 1, 2, 3]).prop_shuffle(), 0usize..=4).prop_map(|(mut columns, len)| {
            columns.truncate(len);
            columns
        })
    }

    prop_compose! {
        fn any_view()(
            filtered in columns(),
            conditions in prop::collection::vec(condition_of_any(), 4),
            order in columns(),
            reverse in any::<bool>(),
            limit in prop::option::of(0u64..8),
        ) -> View {
            let filter = filtered.into_iter().zip(conditions).collect();
            View { filter, order: (!order.is_empty()).then_some(order), reverse, limit, columns: None }
        }
    }

    proptest! {
        #[test]
        fn whatever_is_read_the_rows_are_those_of_a_scan(
            view in any_view(),
            rows in prop::collection::btree_map((0u8..4, 0u8..4), (0u8..4, 0u8..4), 0..12),
        ) {
            let rows: Vec<Vec<State>> = rows
                .into_iter()
                .map(|((a, b), (c, d))| [a, b, c, d].into_iter().map(|n| Number::U8(n).into()).collect())
                .collect();
            let collection = Collection { view, ..sample::collection(Kind::Table, SMALL) };
            let (schema, view) = (&collection.table.schema, &collection.view);

            let mut expected: Vec<_> = rows.iter().filter(|row| meets_all(schema, &view.filter, row)).cloned().collect();
            let found = access(schema, view);
            let wanted = view.order.clone().unwrap_or_default();
            let ties = if found.is_served { found.order } else { (0..schema.key_len).collect() };
            let by = |columns: &[usize], l: &[State], r: &[State]| {
                let orders = columns.iter().map(|column| compare(schema.columns[*column].ty, &l[*column], &r[*column]));
                orders.fold(std::cmp::Ordering::Equal, |order, next| order.then(next))
            };
            expected.sort_by(|l, r| by(&wanted, l, r).then_with(|| by(&ties, l, r)));
            if view.reverse {
                expected.reverse();
            }
            expected.truncate(view.limit.map_or(usize::MAX, |limit| limit as usize));
            prop_assert_eq!(sample::read(&collection, &rows), expected);
        }
    }
}
