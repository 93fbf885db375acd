/** The frame of a page: the document's title, the heading, what can be done here, and the content. */
import { Title } from '@mantine/core'
import { useEffect, type ReactNode } from 'react'
import classes from './Page.module.css'

interface PageProps {
  title: string
  /** Said below the heading, in one sentence. */
  lead?: ReactNode
  /** Beside the heading: a state. */
  beside?: ReactNode
  /** Buttons, at the right. */
  actions?: ReactNode
  /** For the document's title, where the heading would be too little: "qwen3 · Models". */
  documentTitle?: string
  children: ReactNode
}

export function Page({ title, lead, beside, actions, documentTitle = title, children }: PageProps) {
  useDocumentTitle(documentTitle)
  return (
    <div className={classes.page}>
      <div className={classes.head}>
        <div className={classes.words}>
          <div className={classes.line}>
            <Title order={1} className={classes.title}>
              {title}
            </Title>
            {beside}
          </div>
          {lead !== undefined && <p className={classes.lead}>{lead}</p>}
        </div>
        {actions !== undefined && <div className={classes.actions}>{actions}</div>}
      </div>
      {children}
    </div>
  )
}

/** The title of the document, while the component is shown. */
export function useDocumentTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} · OllamaMax`
  }, [title])
}
