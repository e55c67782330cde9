import { z } from 'zod';
import { PluginError } from '../../core/plugin.js';
import { safePath } from '../shared/files.js';
import { ImageFiles } from '../shared/image-files.js';
import { entriesOf, readJson } from '../shared/json.js';

const list = z.array(z.unknown());
const cocoFile = z.object({ images: list, annotations: list, categories: list });
const imageForm = z.object({ id: z.int(), file_name: z.string() });
const annotationForm = z.object({ image_id: z.int(), category_id: z.int() });
const categoryForm = z.object({ id: z.int(), name: z.string() });

/** Images with the numbers of their categories as keys. */
export interface Annotations {
  files: ImageFiles;
  classNames: ReadonlyMap<string, string>;
}

/**
 * Reads annotations in COCO's form: one category for each image.
 * @param root folder to which the names of the images are relative
 * @throws PluginError if they contradict themselves
 */
export async function readAnnotations(path: string, root: string): Promise<Annotations> {
  const what = 'images (id, file_name), annotations (image_id, category_id) and categories (id, name)';
  const { images, annotations, categories } = await readJson(path, cocoFile, what);
  const place = (name: string) => ({ path, what, at: [name] });
  const complain = (problem: string, expected: string) =>
    new PluginError(`${path} ${problem}`, { expected, remedy: 'fetch the annotations anew' });
  const classNames = new Map<string, string>();
  for (const { id, name } of entriesOf(categories, categoryForm, place('categories'))) {
    if (classNames.has(String(id))) throw complain(`has category ${id} twice`, 'every category once');
    classNames.set(String(id), name);
  }
  const categoryOf = new Map<number, number>();
  for (const { image_id, category_id } of entriesOf(annotations, annotationForm, place('annotations'))) {
    if (categoryOf.has(image_id)) throw complain(`has two annotations of image ${image_id}`, 'one for each image');
    if (!classNames.has(String(category_id))) {
      throw complain(
        `puts image ${image_id} into category ${category_id}, which it does not list`,
        'listed categories',
      );
    }
    categoryOf.set(image_id, category_id);
  }
  const files = new ImageFiles(root, path);
  const ids = new Set<number>();
  const names = new Set<string>();
  for (const { id, file_name } of entriesOf(images, imageForm, place('images'))) {
    const name = safePath(file_name, `${path}, image ${id},`);
    const category = categoryOf.get(id);
    if (ids.has(id)) throw complain(`has image ${id} twice`, 'every image once');
    if (names.has(name)) throw complain(`has the file ${name} twice`, 'every image once');
    if (category === undefined) throw complain(`has no annotation of image ${id}`, 'a category for each image');
    ids.add(id);
    names.add(name);
    files.add(name, String(category));
  }
  if (annotations.length > images.length) {
    const stray = [...categoryOf.keys()].find((id) => !ids.has(id));
    throw complain(`has an annotation of image ${stray}, which it does not list`, 'listed images');
  }
  return { files, classNames };
}
