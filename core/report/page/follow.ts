import type { ReportFacts, Standing } from '../facts.js';

/** Milliseconds between looks at a run that has ended, or a server that does not answer. */
const SLOW = 10_000;

const ENDS: Readonly<Partial<Record<Standing['state'], string>>> = {
  done: 'The run is done.',
  interrupted: 'The run was interrupted',
  failed: 'The run has failed',
  gone: 'The run has vanished',
};

/** Asks the server of the page for newer facts, for as long as the page is open; says how the run and the server stand. */
export function follow(first: ReportFacts, status: HTMLElement, update: (facts: ReportFacts) => void): void {
  const usual = first.refreshMs ?? SLOW;
  let newest = first;
  const say = (text: string, kind: 'live' | 'ended' | 'lost') => {
    if (status.textContent !== text) status.textContent = text; // said aloud only where it is another
    status.dataset.kind = kind;
  };
  const look = async () => {
    let next = usual;
    try {
      const answer = await fetch('data.json', { cache: 'no-store' });
      if (!answer.ok) throw new Error(String(answer.status));
      newest = (await answer.json()) as ReportFacts;
      update(newest);
      const [text, isLive] = standingText(newest);
      say(text, isLive ? 'live' : 'ended');
      if (!isLive) next = SLOW;
    } catch {
      say(
        `The server does not answer: it was stopped, or this page is from another one. Shown is what was known at ${timeOf(newest)}.`,
        'lost',
      );
      next = SLOW;
    }
    setTimeout(look, next);
  };
  void look();
}

function standingText({ runs }: ReportFacts): [text: string, isLive: boolean] {
  const standing = runs[0]?.standing;
  const ended = standing && ENDS[standing.state];
  if (!ended) return ['Live: the run goes on, and this page with it.', true];
  return [standing.reason === null || ended.endsWith('.') ? ended : `${ended}: ${standing.reason}.`, false];
}

function timeOf({ writtenAt }: ReportFacts): string {
  return new Date(writtenAt).toLocaleTimeString();
}
