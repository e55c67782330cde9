import { copyFile, mkdir, rename, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { TransferConsole } from '../../base/console.js';
import { explainSystemError, UserError } from '../../base/errors.js';
import { buildFolder, removeFolder } from '../../base/staging.js';
import { takeLibraries } from './openvino-libraries.js';
import {
  OPENVINO_FOLDER,
  OPENVINO_LIBRARIES,
  OPENVINO_VERSION,
  OPENVINO_VERSION_FILE,
  THIS_PLATFORM,
} from './place.js';
import { type ExpectedWheel, unpackWheel } from './unpack-wheel.js';
import { downloadWheel, type WantedWheel } from './wheel.js';

const PROJECT = 'openvino';
const BUILD = `${PROJECT}-${OPENVINO_VERSION}-22982`;
/** The version of Python whose wheel is downloaded; those of the others hold the same libraries. */
const PYTHON = 'cp313-cp313';
/** For each platform the tag of its wheels, and the SHA-256 of the one that is downloaded. */
const WHEELS: Readonly<Record<string, readonly [tag: string, sha256: string]>> = {
  'linux-x64': ['manylinux_2_28_x86_64', 'a9b637846c579d7b81b17b6585e0c7b1947574e8d13cf83d7307ce50cd2c352e'],
  'linux-arm64': ['manylinux_2_35_aarch64', 'fc45339ff7d539de76e6d7b04135c120504c797cfc8c2a0dde3d2d616b30c758'],
  'darwin-arm64': ['macosx_11_0_arm64', '60496e3153122913c8a2fa69d86b3a77ccc4e2469db87d76eb8acb49a5d22d63'],
  'win32-x64': ['win_amd64', '37c270c99d6de23439965e97cb5106389d3c8985f3b8bb90909a6ea0270db3f2'],
};

/** Where OpenVINO comes from, and where it is installed. */
interface OpenvinoSource {
  /** 'pypi', a package index; or the path of a wheel, or of a folder in which the libraries lie. */
  from: string;
  /** The package index, where it is another than the usual one. */
  index?: string;
  folder?: string;
}

/**
 * Installs what is needed of OpenVINO: its libraries and their licences. Where that fails, nothing has changed.
 * @param console is told what is done
 * @throws UserError with what to do
 */
export async function installOpenvino(source: OpenvinoSource, console: TransferConsole): Promise<void> {
  const { from, index, folder = OPENVINO_FOLDER } = source;
  await buildFolder(folder, async (staging) => {
    const path = from === 'pypi' ? await downloadWheel(wheelOf(THIS_PLATFORM), index, staging, console) : from;
    console.line(`taking libraries from ${from === 'pypi' ? basename(path) : path}`);
    const found = await stat(path).catch((error: unknown) => {
      throw explainSystemError(error, path);
    });
    const built = join(staging, 'built');
    await mkdir(built);
    if (found.isDirectory()) {
      await takeLibraries(path, path, built, copyFile);
    } else {
      const unpacked = join(staging, 'wheel');
      await unpackWheel(path, unpacked, expectedWheel());
      await takeLibraries(unpacked, path, built, rename);
    }
    await writeFile(join(built, OPENVINO_VERSION_FILE), `${OPENVINO_VERSION}\n`);
    return built;
  });
}

/** Removes OpenVINO. Gives false where it was not there. */
export function removeOpenvino(folder = OPENVINO_FOLDER): Promise<boolean> {
  return removeFolder(folder);
}

/**
 * The wheel that has the libraries of a platform.
 * @throws UserError where there is none
 */
export function wheelOf(platform: string): WantedWheel {
  const [tag, sha256] = WHEELS[platform] ?? [];
  if (!tag || !sha256) {
    throw new UserError(`OpenVINO ${OPENVINO_VERSION} has no wheel for ${platform}`, {
      expected: `one of ${Object.keys(WHEELS).join(', ')}`,
      remedy: 'use another engine, or name a folder with its libraries with --from',
    });
  }
  const name = `${BUILD}-${PYTHON}-${tag}.whl`;
  return { project: PROJECT, title: name, fits: (filename) => filename === name, sha256 };
}

/** What is taken out of a wheel: the libraries that are needed. */
function expectedWheel(): ExpectedWheel {
  const { loaded, opened, optional } = OPENVINO_LIBRARIES;
  const libraries = [...loaded, ...opened, ...optional].map((name) => `openvino/libs/${name}`);
  return {
    project: PROJECT,
    version: OPENVINO_VERSION,
    tag: WHEELS[THIS_PLATFORM]?.[0],
    selects: (name) => libraries.includes(name),
    advice: {
      expected: `a wheel of ${PROJECT} ${OPENVINO_VERSION} for ${THIS_PLATFORM}, or a folder with its libraries, unpacked`,
      remedy: `leave --from out, or fetch the wheel with: pip download --no-deps ${PROJECT}==${OPENVINO_VERSION}`,
    },
  };
}
