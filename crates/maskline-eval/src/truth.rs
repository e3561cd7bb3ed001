//! The data set: pictures, categories and annotated objects.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use maskline::vision::decode::DecodeOptions;
use maskline::{Error, Image, Mask, Result};

use crate::file::{self, AnnotationEntry, CategoryEntry, Instances, bad, wrong};
use crate::ids::{Id, Ids};

/// Ground truth in COCO's format.
///
/// Ids may be text there: text of digits is its number, and for any other text a negative number is made up, which no id of the file has.
#[derive(Debug, Clone)]
pub struct Truth {
    path: PathBuf,
    folder: PathBuf,
    pictures: Vec<Picture>,
    categories: Vec<Category>,
    annotations: Vec<Annotation>,
    is_federated: bool,
    image_ids: Ids,
    category_ids: Ids,
    annotation_ids: Ids,
}

/// A picture of the data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// COCO's id.
    pub id: i64,
    /// Name of its file below the folder of pictures; where the data set has `coco_url` alone, its folder and file.
    pub file_name: Option<String>,
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
}

/// What an object can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Category {
    /// COCO's id.
    pub id: i64,
    /// Name.
    pub name: String,
    /// Thing (countable) or stuff, where the data set tells.
    pub is_thing: Option<bool>,
}

/// An annotated object.
#[derive(Debug, Clone)]
pub struct Annotation {
    /// COCO's id.
    pub id: i64,
    /// Index of its picture in [`Truth::pictures`].
    pub picture: usize,
    /// Index of its category in [`Truth::categories`].
    pub category: Option<usize>,
    /// Whether it stands for many objects.
    pub is_crowd: bool,
    /// Thing or stuff: as the annotation says, else as its category does.
    pub is_thing: Option<bool>,
    /// `[x, y, width, height]` in pixels: as the file says, else around the mask.
    pub bounds: [f64; 4],
    /// Area in pixels, as the file says, else of the mask or box.
    pub area: f64,
    /// Its pixels, at the size of the picture.
    pub mask: Option<Mask>,
}

const FORM: &str = "COCO's instances: {\"images\": […], \"annotations\": […], \"categories\": […]}";

impl Truth {
    /// Reads COCO's `instances.json`: polygons and run lengths, compressed or not. Every annotation is checked.
    ///
    /// Pictures are looked for in the folder `images` beside the file, or where there is none beside the file itself;
    /// [`Truth::with_pictures`] names another folder.
    ///
    /// # Errors
    /// `BadInput`, with the annotation it is about, for a file that is missing or of another format, a picture or category that is not
    /// listed, ids that occur twice, and a segmentation that does not fit its picture.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let instances: Instances = file::read(path, FORM)?;
        if instances.images.is_empty() {
            return Err(bad(path, wrong("images").expecting("at least one").but_found("an empty list")));
        }
        let beside = path.parent().unwrap_or(Path::new("")).to_path_buf();
        let folder = Some(beside.join("images")).filter(|folder| folder.is_dir()).unwrap_or(beside);
        let image_ids = Ids::of(instances.images.iter().map(|entry| &entry.id));
        let category_ids = Ids::of(instances.categories.iter().map(|entry| &entry.id));
        let annotation_ids = Ids::of(instances.annotations.iter().map(|entry| &entry.id));
        let is_federated = instances.images.iter().any(|entry| entry.neg_category_ids.is_some());
        let picture = |entry: file::ImageEntry| {
            let id = image_ids.number(&entry.id)?;
            let file_name = entry.file_name.or_else(|| entry.coco_url.as_deref().and_then(name_in).map(str::to_owned));
            Some(Picture { id, file_name, width: entry.width, height: entry.height })
        };
        let mut pictures: Vec<Picture> = instances.images.into_iter().filter_map(picture).collect();
        pictures.sort_by_key(|picture| picture.id);
        let category = |entry: CategoryEntry| {
            let id = category_ids.number(&entry.id)?;
            Some(Category { id, name: entry.name, is_thing: entry.isthing.map(file::Flag::is_set) })
        };
        let mut categories: Vec<Category> = instances.categories.into_iter().filter_map(category).collect();
        categories.sort_by_key(|category| category.id);
        let annotations = Vec::with_capacity(instances.annotations.len());
        let path = path.to_path_buf();
        let mut truth = Self { path, folder, pictures, categories, annotations, is_federated, image_ids, category_ids, annotation_ids };
        truth.check_ids()?;
        truth.annotate(instances.annotations)?;
        Ok(truth)
    }

    /// The same with pictures in another folder.
    #[must_use]
    pub fn with_pictures(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = folder.into();
        self
    }

    /// The file that was read.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Pictures by rising id.
    pub fn pictures(&self) -> &[Picture] {
        &self.pictures
    }

    /// Categories by rising id.
    pub fn categories(&self) -> &[Category] {
        &self.categories
    }

    /// All annotations, in the order of the file.
    pub fn annotations(&self) -> &[Annotation] {
        &self.annotations
    }

    /// Whether each picture says which categories it was searched for, as in LVIS.
    pub fn is_federated(&self) -> bool {
        self.is_federated
    }

    /// Index of the picture with this id.
    pub(crate) fn picture_of(&self, id: i64) -> Option<usize> {
        self.pictures.binary_search_by_key(&id, |picture| picture.id).ok()
    }

    /// Index of the category with this id.
    pub(crate) fn category_of(&self, id: i64) -> Option<usize> {
        self.categories.binary_search_by_key(&id, |category| category.id).ok()
    }

    /// The number of a picture's id, as a file writes it.
    pub(crate) fn image_id(&self, id: &Id) -> Option<i64> {
        self.image_ids.number(id)
    }

    /// The number of a category's id, as a file writes it.
    pub(crate) fn category_id(&self, id: &Id) -> Option<i64> {
        self.category_ids.number(id)
    }

    /// The text that stands for a picture's id in the file, where it is no number.
    pub fn image_text_id(&self, id: i64) -> Option<&str> {
        self.image_ids.text(id)
    }

    /// The text that stands for an annotation's id in the file, where it is no number.
    pub fn annotation_text_id(&self, id: i64) -> Option<&str> {
        self.annotation_ids.text(id)
    }

    /// A picture's id as the file has it.
    pub(crate) fn shown_image(&self, id: i64) -> String {
        self.image_ids.shown(id)
    }

    /// What is wrong with the data set, with its file.
    pub(crate) fn bad(&self, error: Error) -> Error {
        bad(&self.path, error)
    }

    /// Checks that the files of pictures exist, before anything is computed.
    pub(crate) fn check_files(&self, pictures: impl Iterator<Item = usize>) -> Result<()> {
        let (mut count, mut missing) = (0, Vec::new());
        for index in pictures {
            count += 1;
            let path = self.file_of(&self.pictures[index])?;
            if !path.is_file() {
                missing.push(path);
            }
        }
        let Some(first) = missing.first() else { return Ok(()) };
        let message = format!("{} of {count} pictures are missing, the first is {}", missing.len(), first.display());
        Err(self.bad(wrong(message).with_help("name the folder that holds them: --images DIR")))
    }

    /// Reads a picture. Its size must be that of the data set: as its EXIF orientation turns it, or as it is stored, which is how
    /// COCO itself is annotated.
    pub(crate) fn read(&self, index: usize, max_pixels: u64) -> Result<Image> {
        let picture = &self.pictures[index];
        let path = self.file_of(picture)?;
        let open = |apply_exif: bool| Image::open_with(&path, &DecodeOptions { max_pixels, apply_exif, ..DecodeOptions::default() });
        let image = open(true)?;
        if image.size() == (picture.width, picture.height) {
            return Ok(image);
        }
        let stored = open(false)?;
        if stored.size() == (picture.width, picture.height) {
            return Ok(stored);
        }
        let (width, height) = image.size();
        let error = self.wrong_picture(picture).expecting(format!("{} × {}", picture.width, picture.height));
        let help = format!("{} says the size; are these the pictures that were annotated?", self.path.display());
        Err(error.but_found(format!("{width} × {height}")).at(&path).with_help(help))
    }

    fn file_of(&self, picture: &Picture) -> Result<PathBuf> {
        let name = picture.file_name.as_deref().filter(|name| !name.is_empty());
        name.map(|name| self.folder.join(name))
            .ok_or_else(|| self.bad(self.wrong_picture(picture).expecting("a file_name").but_found("none")))
    }

    fn wrong_picture(&self, picture: &Picture) -> Error {
        wrong(format!("picture {}", self.shown_image(picture.id)))
    }

    fn check_ids(&self) -> Result<()> {
        let twice = |what: &str, id: String| self.bad(wrong(format!("{what}: the id {id} occurs twice")));
        if let Some(pair) = self.pictures.windows(2).find(|pair| pair[0].id == pair[1].id) {
            return Err(twice("images", self.image_ids.shown(pair[0].id)));
        }
        if let Some(pair) = self.categories.windows(2).find(|pair| pair[0].id == pair[1].id) {
            return Err(twice("categories", self.category_ids.shown(pair[0].id)));
        }
        Ok(())
    }

    fn annotate(&mut self, entries: Vec<AnnotationEntry>) -> Result<()> {
        let mut seen = HashMap::with_capacity(entries.len());
        for (index, entry) in entries.into_iter().enumerate() {
            let id = entry.id.clone();
            if seen.insert(id.clone(), index).is_some() {
                return Err(self.bad(wrong(format!("annotations: the id {id} occurs twice"))));
            }
            let annotation = self.annotation(entry).map_err(|error| self.bad(error.named(format!("annotation {id}"))))?;
            self.annotations.push(annotation);
        }
        Ok(())
    }

    fn annotation(&self, entry: AnnotationEntry) -> Result<Annotation> {
        let picture = self.image_id(&entry.image_id).and_then(|id| self.picture_of(id));
        let picture = picture.ok_or_else(|| wrong(format!("its image {} is not among the images", entry.image_id)))?;
        // A data set without categories is enough for promptable models.
        let category = entry.category_id.filter(|_| !self.categories.is_empty());
        let category = category.map(|id| {
            let index = self.category_id(&id).and_then(|id| self.category_of(id));
            index.ok_or_else(|| wrong(format!("its category {id} is not among the categories")))
        });
        let category = category.transpose()?;
        let size = [self.pictures[picture].width, self.pictures[picture].height];
        let mask = entry.segmentation.map(|segmentation| segmentation.into_mask(size)).transpose()?.flatten();
        let told = entry.bbox.map(|numbers| file::bounds(&numbers)).transpose()?.flatten();
        let shapeless = || wrong("").expecting("a bbox or a segmentation").but_found("neither");
        let bounds = told.or_else(|| mask.as_ref().map(bounds_of)).ok_or_else(shapeless)?;
        let area = entry.area.unwrap_or_else(|| mask.as_ref().map_or(bounds[2] * bounds[3], |mask| mask.area() as f64));
        Ok(Annotation {
            // Every id of the annotations has its number.
            id: self.annotation_ids.number(&entry.id).unwrap_or_default(),
            picture,
            category,
            is_crowd: entry.iscrowd.is_some_and(file::Flag::is_set),
            is_thing: entry.isthing.map(file::Flag::is_set).or_else(|| self.categories[category?].is_thing),
            bounds,
            area,
            mask,
        })
    }
}

/// The folder and the file that an address ends with: `train2017/000000000009.jpg`. LVIS has pictures of several folders of COCO.
fn name_in(address: &str) -> Option<&str> {
    let (before, file) = address.rsplit_once('/')?;
    let start = before.rfind('/').map_or(0, |slash| slash + 1);
    (!file.is_empty()).then(|| &address[start..])
}

/// `[x, y, width, height]` around the set pixels; all 0 for an empty mask, as in pycocotools.
pub(crate) fn bounds_of(mask: &Mask) -> [f64; 4] {
    mask.bounds().map_or([0.0; 4], |[x1, y1, x2, y2]| [x1, y1, x2 - x1, y2 - y1].map(|side| side as f64))
}

/// Items by the picture that they belong to, pictures by rising id.
pub(crate) fn by_picture<T>(items: impl IntoIterator<Item = T>, picture: impl Fn(&T) -> usize) -> BTreeMap<usize, Vec<T>> {
    let mut groups: BTreeMap<usize, Vec<T>> = BTreeMap::new();
    items.into_iter().for_each(|item| groups.entry(picture(&item)).or_default().push(item));
    groups
}
