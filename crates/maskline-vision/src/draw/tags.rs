//! Places for tags: at their boxes, inside the picture, and none over another.

/// How far from its box a tag may make way, in heights of a tag.
const FARTHEST: f32 = 6.0;

/// The places that are taken.
pub(super) struct Places {
    picture: [f32; 2],
    /// Half of the width of a box's line, which tags begin outside of.
    margin: f32,
    taken: Vec<[f32; 4]>,
}

impl Places {
    pub(super) fn new(picture: [f32; 2], margin: f32) -> Self {
        Self { picture, margin, taken: Vec::new() }
    }

    pub(super) fn take(&mut self, place: [f32; 4]) {
        self.taken.push(place);
    }

    /// Where a tag of this size hides no other one: above its box, else inside, below or at the right end.
    pub(super) fn at(&self, bounds: [f32; 4], tag: [f32; 2]) -> Option<[f32; 4]> {
        let [x1, y1, x2, y2] = self.around(bounds);
        let [width, height] = tag.map(f32::ceil);
        let above = [[x1, y1 - height], [x2 - width, y1 - height]].into_iter().filter(|place| place[1] >= 0.0);
        let inside = [[x1, y1], [x2 - width, y1], [x1, y2 - height], [x2 - width, y2 - height]];
        let below = [[x1, y2], [x2 - width, y2]].into_iter().filter(|place| place[1] + height <= self.picture[1]);
        above.chain(inside).chain(below).map(|corner| self.within(corner, tag)).find(|place| self.is_free(*place))
    }

    /// The free place nearest to the box's left top corner, where none of [`Places::at`] is; none where all near it are taken.
    pub(super) fn near(&self, bounds: [f32; 4], tag: [f32; 2]) -> Option<[f32; 4]> {
        let [x1, y1, x2, _] = self.around(bounds);
        let reach = FARTHEST * tag[1].ceil();
        let is_near = |place: &[f32; 4]| (place[1] - y1).abs() <= reach;
        // A tag that makes way touches others, or stands where its box does.
        let ys = self.taken.iter().flat_map(|other| [other[1] - tag[1].ceil(), other[3]]);
        let ys: Vec<f32> = ys.chain([y1]).filter(|y| (y - y1).abs() <= reach).collect();
        let xs = self.taken.iter().flat_map(|other| [other[0] - tag[0].ceil(), other[2]]);
        let xs: Vec<f32> = xs.filter(|x| (x1 - reach..=x2).contains(x)).chain([x1, x2 - tag[0].ceil()]).collect();
        let mut corners: Vec<[f32; 2]> = ys.iter().flat_map(|y| xs.iter().map(|x| [*x, *y])).collect();
        let distance = |corner: &[f32; 2]| (corner[0] - x1).hypot(corner[1] - y1);
        corners.sort_by(|a, b| distance(a).total_cmp(&distance(b)));
        let places = corners.into_iter().take(MOST_TRIED).map(|corner| self.within(corner, tag));
        places.filter(is_near).find(|place| self.is_free(*place))
    }

    fn around(&self, [x1, y1, x2, y2]: [f32; 4]) -> [f32; 4] {
        [x1 - self.margin, y1 - self.margin, x2 + self.margin, y2 + self.margin]
    }

    /// The place at this corner, moved into the picture.
    fn within(&self, [x, y]: [f32; 2], tag: [f32; 2]) -> [f32; 4] {
        let [width, height] = tag.map(f32::ceil);
        let [x, y] = [x.min(self.picture[0] - width).max(0.0).round(), y.min(self.picture[1] - height).max(0.0).round()];
        [x, y, x + width, y + height]
    }

    fn is_free(&self, place: [f32; 4]) -> bool {
        self.taken.iter().all(|other| !overlap(place, *other))
    }
}

/// Places that are looked at in a crowd.
const MOST_TRIED: usize = 2000;

fn overlap(a: [f32; 4], b: [f32; 4]) -> bool {
    a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3]
}

#[cfg(test)]
mod tests {
    use super::*;

    const PICTURE: [f32; 2] = [400.0, 300.0];

    #[test]
    fn tags_are_inside_and_apart_however_many_boxes_there_are() {
        let mut places = Places::new(PICTURE, 1.0);
        let mut count = 0;
        for index in 0..60 {
            let corner = [(index * 37 % 400) as f32, (index * 53 % 300) as f32];
            let bounds = [corner[0], corner[1], (corner[0] + 150.0).min(400.0), (corner[1] + 90.0).min(300.0)];
            let tag = [60.0 + (index % 5) as f32 * 35.5, 17.5];
            let Some([x1, y1, x2, y2]) = places.at(bounds, tag).or_else(|| places.near(bounds, tag)) else { continue };
            assert!(x1 >= 0.0 && y1 >= 0.0 && x2 <= PICTURE[0] && y2 <= PICTURE[1], "{index}");
            assert!(places.is_free([x1, y1, x2, y2]), "{index}");
            places.take([x1, y1, x2, y2]);
            count += 1;
        }
        assert!(count >= 30, "{count} tags have places");
    }

    #[test]
    fn the_second_tag_of_one_small_box_makes_way_and_one_without_room_is_left_out() {
        let mut places = Places::new(PICTURE, 1.0);
        let (bounds, tag) = ([200.0, 150.0, 205.0, 155.0], [100.0, 20.0]);
        let mut tags = Vec::new();
        while let Some(place) = places.at(bounds, tag).or_else(|| places.near(bounds, tag)) {
            places.take(place);
            tags.push(place);
        }
        assert_eq!(tags[0], [199.0, 129.0, 299.0, 149.0], "above the box");
        assert!((8..60).contains(&tags.len()), "{}", tags.len());
        assert!(tags.iter().all(|tag| (tag[1] - 149.0).abs() <= 120.0), "near the box");
    }
}
