/** What a model said, as Markdown. Raw HTML stays text, and a link leads only to the web. */
import Rendered from 'react-markdown'
import gfm from 'remark-gfm'
import { CopyText } from '../../ui/CopyText'
import classes from './Playground.module.css'

export function Markdown({ text, copy }: { text: string; copy: string }) {
  return (
    <div className={classes.markdown}>
      <Rendered
        remarkPlugins={[gfm]}
        components={{
          // Of a picture only its words: loading it would tell a stranger what was asked.
          img: ({ alt }) => <span>{alt}</span>,
          a: ({ href, children }) => (
            <a href={href} target="_blank" rel="noreferrer noopener">
              {children}
            </a>
          ),
          pre: ({ children, node }) => (
            <div className={classes.code}>
              <pre tabIndex={0}>{children}</pre>
              <span className={classes.copy}>
                <CopyText text={textOf(node)} label={copy} size={26} />
              </span>
            </div>
          ),
        }}
      >
        {text}
      </Rendered>
    </div>
  )
}

interface Node {
  value?: string
  children?: unknown[]
}

function textOf(node: unknown): string {
  const { value, children = [] } = (node ?? {}) as Node
  return value ?? children.map(textOf).join('')
}
