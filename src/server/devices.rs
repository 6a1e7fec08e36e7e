//! What computes tensors on this host, for people: the devices, and a table of which functions the one beside the CPU computes.

use std::fmt::Write as _;

use crate::exec::{Devices, Row, Status, Thresholds};

/// The names of the columns.
const COLUMNS: [&str; 4] = ["function", "dtype", "device", "verdict"];

/// The text.
pub(super) fn text(devices: &Devices) -> String {
    let mut text = introduction(devices.status());
    let rows = devices.table();
    if !rows.is_empty() {
        text.push('\n');
        table(&mut text, &rows);
    }
    text
}

fn introduction(status: Status<'_>) -> String {
    match status {
        Status::Looking => {
            "Tensors are computed by the CPU. Other devices are still being looked for, or tried.\n".into()
        }
        Status::Missing(reason) => format!("Tensors are computed by the CPU: {reason}.\n"),
        Status::Found(name, thresholds) => {
            let mut text = format!(
                "Tensors are computed by the CPU, and by {name} where that is faster and computes what the CPU does. What is \
                 refused, and what is not in the table, is computed by the CPU.\n\nThe device is faster for\n"
            );
            faster(&mut text, thresholds);
            text
        }
    }
}

/// From which amount on a device is faster, a line for each kind of work.
fn faster(text: &mut String, [light, heavy, product]: Thresholds) {
    let kinds = [
        ("sums, comparisons and the like", light, "elements"),
        ("functions such as exp", heavy, "elements"),
        ("products of matrices", product, "multiplications"),
    ];
    for (kind, from, unit) in kinds {
        // Writing to a string cannot fail.
        let _ = match from {
            Some(from) => writeln!(text, "- {kind}: from {from} {unit} on"),
            None => writeln!(text, "- {kind}: never"),
        };
    }
}

fn table(text: &mut String, rows: &[Row]) {
    let cells = rows.iter().map(|Row { op, dtype, device, verdict }| {
        let dtype = format!("{dtype:?}").to_lowercase();
        [op.to_string(), dtype, device.clone(), verdict.to_string()]
    });
    let cells: Vec<[String; 4]> = [COLUMNS.map(String::from)].into_iter().chain(cells).collect();
    let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let [function, dtype, device] = [0, 1, 2].map(width);
    for [op, class, name, verdict] in &cells {
        let _ = writeln!(text, "{op:<function$}  {class:<dtype$}  {name:<device$}  {verdict}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::{OpKey, Verdict};
    use crate::value::NumberClass;
    use crate::value::tensor::{Binary, Unary};

    #[test]
    fn a_host_without_a_device_says_why() {
        assert_eq!(text(&Devices::cpu_only()), "Tensors are computed by the CPU: no other device was asked for.\n");
    }

    #[test]
    fn a_device_is_described() {
        let text = introduction(Status::Found("sample (Vulkan)", [Some(1 << 16), Some(4096), None]));
        assert!(text.starts_with("Tensors are computed by the CPU, and by sample (Vulkan) where"), "{text}");
        let lines = "- sums, comparisons and the like: from 65536 elements on\n- functions such as exp: from 4096 elements on\n\
                     - products of matrices: never\n";
        assert!(text.ends_with(lines), "{text}");
    }

    #[test]
    fn columns_are_aligned() {
        let row = |op, dtype, verdict| Row { op, dtype, device: "sample".into(), verdict };
        let rows = [
            row(OpKey::Binary(Binary::Add), NumberClass::F32, Verdict::Exact),
            row(OpKey::Unary(Unary::Exp), NumberClass::F64, Verdict::Refused("computed 0".into())),
            row(OpKey::MatMul, NumberClass::Bool, Verdict::Placed { ulps: 2 }),
        ];
        let mut text = String::new();
        table(&mut text, &rows);
        let expected = "function  dtype  device  verdict\n\
                        add       f32    sample  exact\n\
                        exp       f64    sample  refused: computed 0\n\
                        matmul    bool   sample  within 2 ulp\n";
        assert_eq!(text, expected);
    }
}
