import { join } from 'node:path';
import { z } from 'zod';
import { PluginError } from '../../core/plugin.js';
import { isFile, isFolder, safePath } from '../shared/files.js';
import { entriesOf, readJson } from '../shared/json.js';

/** Upper ends of the classes of distance: the first that is not below the nearest object's is its class. */
export const THRESHOLDS = [8.0, 8.5, 9.0, 9.5, 10.0, 100.0] as const;

const scenesFile = z.object({ scenes: z.array(z.unknown()) });
const sceneForm = z.object({ image_filename: z.string(), objects: z.array(z.unknown()) });
const objectForm = z.object({ pixel_coords: z.tuple([z.number(), z.number(), z.number()]) });

/** What a data set asks about a scene. */
export interface Scene {
  /** Name of its image file. */
  name: string;
  /** How many objects it has. */
  count: number;
  /** The smallest distance of an object from the camera; infinite without objects. */
  nearest: number;
}

/** The class of distance (bisect-left); `THRESHOLDS.length` for what is farther than all of them. */
export function distanceClass(nearest: number): number {
  const at = THRESHOLDS.findIndex((threshold) => threshold >= nearest);
  return at < 0 ? THRESHOLDS.length : at;
}

/**
 * Reads the scenes of a part.
 * @throws PluginError if they or the folder of their images are missing, or an image has two scenes
 */
export async function readScenes(folder: string, part: 'train' | 'val'): Promise<{ root: string; scenes: Scene[] }> {
  const path = scenesPath(folder, part);
  if (!(await isFile(path))) {
    throw new PluginError(`${path} is missing`, {
      expected: 'scenes and images of training and validation',
      remedy: 'unpack CLEVR_v1.0.zip whole (not CLEVR without images, and not CoGenT)',
    });
  }
  const root = join(folder, 'images', part);
  if (!(await isFolder(root))) {
    throw new PluginError(`${root} does not exist, but ${path} describes its images`, {
      expected: 'the images beside the scenes',
      remedy: 'unpack CLEVR_v1.0.zip whole',
    });
  }
  const what = 'scenes with image_filename and objects with pixel_coords';
  const { scenes } = await readJson(path, scenesFile, what);
  const read: Scene[] = [];
  const seen = new Set<string>();
  for (const { image_filename, objects } of entriesOf(scenes, sceneForm, { path, what, at: ['scenes'] })) {
    const at = ['scenes', read.length, 'objects'];
    const name = safePath(image_filename, `${path}, scene ${read.length},`);
    if (seen.has(name)) {
      throw new PluginError(`${path} has two scenes of ${name}`, {
        expected: 'one scene for each image',
        remedy: 'unpack CLEVR_v1.0.zip anew',
      });
    }
    seen.add(name);
    let nearest = Number.POSITIVE_INFINITY;
    for (const { pixel_coords } of entriesOf(objects, objectForm, { path, what, at })) {
      nearest = Math.min(nearest, pixel_coords[2]);
    }
    read.push({ name, count: objects.length, nearest });
  }
  return { root, scenes: read };
}

export function scenesPath(folder: string, part: 'train' | 'val'): string {
  return join(folder, 'scenes', `CLEVR_${part}_scenes.json`);
}
