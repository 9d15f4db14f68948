//! What stands where on the page, and pages that cannot be drawn.

use super::*;

fn fonts() -> Options<'static> {
    let mut fonts = fontdb::Database::new();
    fonts.load_font_data(epaint_default_fonts::UBUNTU_LIGHT.to_vec());
    Options { fontdb: Arc::new(fonts), ..Options::default() }
}

/// Nothing runs over the edge of the page, the legends are beside the curves, and all coordinates are
/// numbers.
pub fn check_layout(svg: &str) {
    let tree = Tree::from_str(svg, &fonts()).unwrap();
    let (page, drawn) = (tree.size(), tree.root().abs_layer_bounding_box());
    assert!(drawn.left() >= 0.0 && drawn.right() <= page.width(), "{drawn:?} {page:?}");
    assert!(drawn.top() >= 0.0 && drawn.bottom() <= page.height(), "{drawn:?} {page:?}");
    assert!(!svg.contains("NaN\"") && !svg.contains("inf\""), "a coordinate is not a number");
    let document = Document::parse(svg).unwrap();
    let in_class = |node: Node, class: &str| node.attribute("class") == Some(class);
    for panel in document.descendants().filter(|node| in_class(*node, "panel")) {
        let plot = panel.descendants().find(|node| in_class(*node, "plot")).unwrap();
        let (left, top) = (number(plot, "x"), number(plot, "y"));
        let (right, bottom) = (left + number(plot, "width"), top + number(plot, "height"));
        assert!(right - left > 400.0 && bottom - top > 200.0, "the plot is too small");
        for curve in panel.descendants().filter(|node| in_class(*node, "raw") || in_class(*node, "main")) {
            for (x, y) in lines(curve).concat() {
                assert!(x > left - 0.2 && x < right + 0.2 && y > top - 0.2 && y < bottom + 0.2, "{x} {y}");
            }
        }
        let legend = panel.descendants().find(|node| in_class(*node, "legend")).unwrap();
        let names =
            legend.children().filter(|node| node.has_tag_name("text") && !node.has_attribute("text-anchor"));
        for name in names {
            assert!(number(name, "x") > right && number(name, "y") < bottom, "the legend is in the way");
        }
    }
}

#[test]
fn long_names_and_many_losses_fit() {
    let names: Vec<&'static str> =
        (0..30).map(|number| &*format!("{}_{number}", "perceptual".repeat(number * number)).leak()).collect();
    let mut run = run(names.into_iter().map(|name| (name, loss(&[name], &[1e-7, 123456.0]))));
    run.run.experiment = "experiment ".repeat(1000);
    run.run.dataroot = "/very/deep".repeat(1000);
    for split_by_tag in [false, true] {
        let curves = LossCurves { split_by_tag, weights: true, ..LossCurves::new(&run) };
        let svg = svg_of(&curves);
        check_layout(&svg);
        // What tells long names apart is often their end.
        assert!(svg.contains('…') && svg.contains("tual_29<"));
    }
    let picture = LossCurves { split_by_tag: true, ..LossCurves::new(&run) }.render().unwrap();
    assert!(picture.height() <= 16384 && picture.width() > 1000, "{:?}", picture.dimensions());
}

#[test]
fn pictures_show_the_document() {
    let mut run = run([("L", loss(&[], &[1.0, 1.0])), ("M", loss(&[], &[2.0, 2.0]))]);
    let svg = document(svg_of(&LossCurves::new(&run)));
    let picture = LossCurves::new(&run).render().unwrap();
    let size = ["width", "height"].map(|side| 2.0 * number(svg.root_element(), side));
    assert_eq!([picture.width(), picture.height()].map(f64::from), size);
    // Each curve is a level line of its colour: at the place that the document tells, and almost nowhere above it.
    for curve in with_class(svg.root(), "main") {
        let colour = curve.attribute("stroke").unwrap().trim_start_matches('#');
        let colour = [0, 2, 4].map(|at| u8::from_str_radix(&colour[at..at + 2], 16).unwrap());
        let line = lines(curve).concat();
        let y = (2.0 * line[0].1) as u32;
        let across = ((2.0 * line[0].0) as u32 + 4)..((2.0 * line[1].0) as u32 - 4);
        let found = across.clone().filter(|x| picture.get_pixel(*x, y).0 == colour).count();
        assert_eq!(found, across.len());
        assert!(across.clone().all(|x| picture.get_pixel(x, y - 10).0 != colour));
    }
    // Text is drawn: a title of 11 letters of 48 pixels, whose strokes are 3 pixels wide and more than 10 long.
    assert!(picture.enumerate_pixels().filter(|(_, y, pixel)| *y < 110 && pixel.0[0] < 128).count() > 300);
    run.run.experiment = "Another".into();
    assert_ne!(LossCurves::new(&run).render().unwrap(), picture);
}

#[test]
fn a_single_record_is_a_dot() {
    let run = run([("L", LossCurve { steps: vec![7], ..loss(&[], &[0.5]) })]);
    let document = document(svg_of(&LossCurves::new(&run)));
    let [(x, y)] = points(&document, "main")[..] else { panic!("one point") };
    assert_near(x, Ruler::new(document.root(), "x", false).place(7.0));
    assert_near(y, Ruler::new(document.root(), "y", false).place(0.5));
}

#[test]
fn nothing_but_nan_is_told() {
    let run = run([("L", loss(&[], &[f64::NAN; 5]))]);
    for scale in SCALES {
        let svg = svg_of(&LossCurves { scale, ..LossCurves::new(&run) });
        check_layout(&svg);
        assert!(svg.contains("5 of 5 values are not finite"));
    }
}

#[test]
fn unusable_options_and_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let empty = run([("L", loss(&[], &[]))]);
    for empty in [empty, run([])] {
        let error = LossCurves::new(&empty).render().unwrap_err();
        assert_eq!(
            error.to_string(),
            "option `runs` is without records, expected a run with at least one record"
        );
    }
    let run = run([("L", loss(&[], &[1.0]))]);
    let error = LossCurves { smooth: Some(0), ..LossCurves::new(&run) }.render_svg().unwrap_err();
    assert_eq!(error.to_string(), "option `smooth` is 0, expected 1 (no smoothing) or more");
    for name in ["curves.pdf", "curves", ".png", "png"] {
        let error = LossCurves::new(&run).save(folder.path().join(name)).unwrap_err();
        assert!(matches!(error, Error::Option { option: "path", .. }), "{error}");
    }
    fs::create_dir(folder.path().join("taken.svg")).unwrap();
    let error = LossCurves::new(&run).save(folder.path().join("taken.svg")).unwrap_err();
    assert!(matches!(error, Error::Write { .. }), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing half done is left");
}
