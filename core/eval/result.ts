import type { ProbeProtocol } from '../plugin.js';
import type { FineTuneProtocol } from './fine-tune-protocols.js';
import type { FineTuneSettings } from './fine-tune-settings.js';

/** The tables of the paper in which a result can stand. */
export type EvaluationKind = 'linear' | 'semi-supervised' | 'transfer';

/** Percent of the test images, with a 95% bootstrap interval over them. */
export interface Accuracy {
  value: number;
  low: number;
  high: number;
}

export interface Accuracies {
  top1: Accuracy;
  top5: Accuracy;
}

/** One linear head of a grid. */
export interface HeadResult extends Accuracies {
  /** Its choices in words: 'last, batch norm, lr 1x, wd 0.0005'. */
  name: string;
  /** Top-1 on the test images after each epoch, percent. */
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
    encoder: 'target' | 'context';
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
  /** `paper`: its schedule to the letter; `quick`: the same heads with a schedule sized to the data. */
  protocolName: 'paper' | 'quick';
  protocol: ProbeProtocol;
  /** The best head: what stands in tables. For semi-supervised results the better of probe and fine-tuning. */
  best: Accuracies & { name: string };
  heads: readonly HeadResult[];
  ridge: Accuracies | null;
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
