import type { ProbeProtocol } from '../plugin.js';
import type { FineTuneProtocol } from './fine-tune-protocols.js';
import type { FineTuneSettings } from './fine-tune-settings.js';
import type { LogisticChoice } from './logistic.js';
import type { Selection } from './selection.js';

/** The tables of the paper in which a result can stand. */
export type EvaluationKind = 'linear' | 'semi-supervised' | 'transfer';

/** Percent of the images, with a 95% interval over them. */
export interface Accuracy {
  value: number;
  low: number;
  high: number;
}

export interface Accuracies {
  top1: Accuracy;
  top5: Accuracy;
}

/** One linear head of a grid, judged on the images on which the best one was chosen. */
export interface HeadResult extends Accuracies {
  /** Its choices in words: 'last, batch norm, lr 1x, wd 0.0005'. */
  name: string;
  /** Top-1 on these images after each epoch, percent. */
  curve: readonly number[];
}

/** What was measured of one network on one data set. */
export interface EvaluationResult {
  format: 'ijepa-evaluation-1';
  kind: EvaluationKind;
  /** The name of the data set, and where it lay. */
  dataSet: string;
  dataDescription: string;
  classes: number;
  trainImages: number;
  testImages: number;
  network: {
    /** `pretrained`, or the same network at random initialisation. */
    weights: 'pretrained' | 'random';
    /** The title of the method that trained it; null for random weights. */
    method: string | null;
    /** The name of the encoder, where it is not the one by which the method is judged. */
    encoder: string | null;
    /** As in the paper's tables: 'ViT-S/16'; other sizes as 'ViT 96x4/8'. */
    arch: string;
    /** Of pretraining; null where it is not known. */
    epochs: number | null;
    /** What it was pretrained on, for people; null for random weights. */
    pretrainedOn: string | null;
    checkpoint: string | null;
    /** Side of the images that it saw, in pixels. */
    imageSize: number;
  };
  /** `paper`: its schedule; `quick`: the same grid of heads, trained so that those of a trained network converge in a short time. */
  protocolName: 'paper' | 'quick';
  protocol: ProbeProtocol;
  /** On which images the best head was chosen: a held-out tenth of the training images, or the test images. */
  selection: Selection;
  /**
   * The chosen head on the test images: what stands in tables. For semi-supervised results the better of probe and
   * fine-tuning.
   */
  best: Accuracies & { name: string };
  heads: readonly HeadResult[];
  ridge: Accuracies | null;
  /** Null in results of the time before it. */
  logistic: (Accuracies & LogisticChoice) | null;
  /** By k. */
  neighbours: readonly ({ k: number } & Accuracies)[];
  /** Of the raw pixels: what needs no learning at all. */
  pixelNeighbours: readonly ({ k: number } & Accuracies)[];
  fineTuning:
    | (Accuracies & { curve: readonly number[]; protocol: FineTuneProtocol; settings: FineTuneSettings })
    | null;
  /** What pretraining took; null where its log does not tell. */
  compute: { deviceHours: number; trainingFlops: number } | null;
  engine: { name: string; version: string; device: string; threads: number };
  seed: number;
  programVersion: string;
  /** ISO 8601. */
  measuredAt: string;
}
